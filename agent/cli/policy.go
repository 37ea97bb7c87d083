package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/mod/sumdb/note"

	"github.com/scruple-agent/scruple/agent"
	"github.com/scruple-agent/scruple/agent/policy"
	"github.com/scruple-agent/scruple/configs"
)

func policyCommand(a *app) *cobra.Command {
	cmd := a.command(command{
		use:   "policy",
		short: T{"the document that declares what may be collected", "声明可收集内容的政策文件"},
		long: T{
			"What the policy does not declare cannot be collected, stored or sent. check, sign and keygen work on files\nalone; show and diff can ask the daemon for the policy in force.",
			"政策未声明的内容不能收集、保存或发送。check、sign 和 keygen 只处理文件；\nshow 和 diff 可以向后台服务查询现行政策。",
		},
		example: T{
			"  scruple policy check policy.yaml\n  scruple policy show location/nearby\n  scruple policy diff new.yaml\n  scruple policy sign policy.yaml --key-file policy.secret --out policy.note",
			"  scruple policy check policy.yaml\n  scruple policy show location/nearby\n  scruple policy diff new.yaml\n  scruple policy sign policy.yaml --key-file policy.secret --out policy.note",
		},
	})
	cmd.AddCommand(policyCheckCommand(a), policyShowCommand(a), policyDiffCommand(a), policyChangesCommand(a), policyUpdateCommand(a),
		policySignCommand(a), policyKeygenCommand(a),
		conformanceCommand(a))
	return cmd
}

// builtIn is the name of the example policy in messages.
const builtIn = "built in"

// maxPolicyFile bounds what is read of a policy file, in bytes; the document has its own limit below that.
const maxPolicyFile = 8 << 20

func readBounded(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxPolicyFile+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, errors.Unwrap(err))
	}
	if len(b) > maxPolicyFile {
		return nil, fmt.Errorf("%s: larger than %d bytes", path, maxPolicyFile)
	}
	return b, nil
}

// isNote reports whether data is a signed note, whoever signed it.
func isNote(data []byte) bool {
	_, err := note.Open(data, nil)
	var unverified *note.UnverifiedNoteError
	return errors.As(err, &unverified)
}

// inForce asks the daemon for its policy.
func (a *app) inForce(ctx context.Context) (*policy.Document, string, error) {
	client, err := a.client()
	if err != nil {
		return nil, "", err
	}
	p, err := client.Policy(ctx)
	if err != nil {
		return nil, "", err
	}
	d, err := policy.Load(p.File, []byte(p.YAML), policy.LoadOptions{Dev: true})
	return d, p.YAML, err
}

// policyFile reads a policy file for reading only: its signature is not asked for.
func policyFile(path string) (*policy.Document, []byte, error) {
	data := configs.PolicyYAML
	if path != builtIn {
		var err error
		if data, err = readBounded(path); err != nil {
			return nil, nil, err
		}
	}
	d, err := policy.Load(path, data, policy.LoadOptions{Dev: true})
	return d, data, err
}

// policyFiles reads policy files, general first, for reading only: their signatures are not asked for.
func policyFiles(paths []string) (policy.Loaded, error) {
	var files []policy.File
	for _, path := range paths {
		data, err := readBounded(path)
		if err != nil {
			return policy.Loaded{}, err
		}
		files = append(files, policy.File{Name: path, Data: data})
	}
	return policy.LoadAll(files, policy.LoadOptions{Dev: true})
}

// policyError gives the errors of package policy, and of a daemon that refuses its policy, their hint. The daemon then does not
// start, so nothing is collected.
func (a *app) policyError(err error) error {
	var faults policy.Faults
	switch {
	case errors.Is(err, agent.ErrPolicyOlder):
		return refusal{a.said(err.Error()), a.t(T{"nothing is collected meanwhile; scruple policy check FILE says which version a file is", "在此期间不收集任何内容；scruple policy check FILE 可查看文件的版本"})}
	case errors.Is(err, agent.ErrPolicyDiffers):
		return refusal{a.said(err.Error()), a.t(T{"a policy never changes under its version: whoever signs it has to raise the version", "政策内容变更必须提高版本号，请联系政策签署方"})}
	case errors.Is(err, agent.ErrPolicyKey):
		return refusal{a.said(err.Error()), a.t(T{"put the former policy_key back, or have a later version signed twice: scruple policy sign on what is signed already", "请恢复原来的 policy_key，或请签署方以新旧两个密钥签署较新版本（对已签名文件再次执行 scruple policy sign）"})}
	case errors.Is(err, agent.ErrPolicyMissing):
		return refusal{a.said(err.Error()), a.t(T{"name it in policy_layers again; a layer is retired by a later version that changes nothing", "请在 policy_layers 中重新列出；停用某一层须发布不含任何改动的较新版本"})}
	case errors.As(err, &faults):
		return hinted{errors.New(a.faults(faults)), a.t(T{"what every key means is in the comments of the example: scruple policy show --built-in", "每个键的含义见示例中的注释：scruple policy show --built-in"})}
	case errors.Is(err, policy.ErrSignature), errors.Is(err, policy.ErrUnsigned):
		return refusal{a.said(err.Error()), a.t(T{"sign it with scruple policy sign and the policy key", "请用 scruple policy sign 和政策密钥签名"})}
	}
	return err
}
