package cli

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/scruple-agent/scruple/agent/control"
	"github.com/scruple-agent/scruple/agent/policy"
)

// policyCheck is the answer of "policy check".
type policyCheck struct {
	File        string         `json:"file"`
	ID          string         `json:"id,omitempty"`
	Version     int            `json:"version,omitempty"`
	Signature   string         `json:"signature"` // "verified", "not checked" or "none"
	Controllers int            `json:"controllers"`
	Categories  int            `json:"categories"`
	Purposes    int            `json:"purposes"`
	Faults      []policy.Fault `json:"faults"`
}

func policyCheckCommand(a *app) *cobra.Command {
	var key string
	cmd := a.command(command{
		use:   "check [FILE] [--key KEY]",
		short: T{"is it complete, consistent and signed?", "检查是否完整、一致、已签名"},
		long: T{
			"Reads a policy as strictly as the daemon does and shows every fault with file, line and field. Without FILE it is\nthe one of the settings, or the example that is built in. With --key the signature is checked too.",
			"以与后台服务相同的严格程度读取政策，列出每处错误的文件、行和字段。不指明 FILE 时\n检查设置中的政策，或内置示例。使用 --key 时还会核验签名。",
		},
		example: T{"  scruple policy check policy.yaml\n  scruple policy check policy.note --key policy.example.com+1a2b3c4d+...", "  scruple policy check policy.yaml\n  scruple policy check policy.note --key policy.example.com+1a2b3c4d+..."},
		args:    maybeName,
		run: func(_ *cobra.Command, args []string) error {
			path := firstOf(args)
			if path == "" {
				s, err := a.settings()
				if err != nil {
					return err
				}
				path = orElse(s.PolicyFile, builtIn)
				key = orElse(key, s.PolicyKey)
			}
			return a.checkPolicy(path, key)
		},
	})
	cmd.Flags().StringVar(&key, "key", "", a.t(T{"public `KEY` that it must be signed with", "必须用来签名的公钥 `KEY`"}))
	return cmd
}

func (a *app) checkPolicy(path, key string) error {
	answer := policyCheck{File: path, Signature: "none", Faults: []policy.Fault{}}
	d, data, err := policyFile(path)
	if isNote(data) {
		answer.Signature = "not checked"
	}
	var faults policy.Faults
	if errors.As(err, &faults) && a.json {
		answer.Faults = faults
		if err := a.print(answer, nil); err != nil {
			return err
		}
		return said(control.ExitFailed)
	}
	if err != nil {
		return a.policyError(err)
	}
	if key != "" {
		if _, err := policy.Load(path, data, policy.LoadOptions{Key: key}); err != nil {
			return a.policyError(err)
		}
		answer.Signature = "verified"
	}
	answer.ID, answer.Version = d.ID, d.Version
	answer.Controllers, answer.Categories = len(d.Controllers), len(d.Categories)
	for _, c := range d.Categories {
		answer.Purposes += len(c.Purposes)
	}
	return a.print(answer, func(w io.Writer) {
		signature := map[string]T{
			"verified":    {"signature verified", "签名有效"},
			"not checked": {"signed, signature not checked (--key)", "已签名，签名未核验（--key）"},
			"none":        {"not signed", "未签名"},
		}[answer.Signature]
		fmt.Fprintf(w, a.t(T{
			"%s: %s version %d, %d categories for %d purposes, %d controllers; %s\n",
			"%s：%s 第 %d 版，%d 个类别，%d 个用途，%d 个控制者；%s\n",
		}), path, d.ID, d.Version, answer.Categories, answer.Purposes, answer.Controllers, a.t(signature))
	})
}

// said is an exit code whose reason has been printed already.
type said int

func (said) Error() string { return "" }
