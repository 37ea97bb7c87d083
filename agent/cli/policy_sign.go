package cli

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/scruple-agent/scruple/agent/policy"
)

func policySignCommand(a *app) *cobra.Command {
	var (
		keyFile, out string
		over         []string
	)
	cmd := a.command(command{
		use:   "sign FILE --key-file FILE [--over FILE] [--out FILE]",
		short: T{"sign a policy that has no fault", "为没有错误的政策签名"},
		long: T{
			"Checks the policy and signs it as a note. The daemon accepts it where the public half of the key is pinned. What is\nsigned already gets one more signature, as a new policy key needs it. A policy that is laid over another one is\nchecked together with it (--over).",
			"检查政策并以 note 格式签名。后台服务若固定了该密钥的公钥，即会接受。\n对已签名的文件会再加一个签名，更换政策密钥时需要。叠加在其他政策之上的政策须与其一并检查（--over）。",
		},
		example: T{
			"  scruple policy keygen policy.example.com --key-file policy.secret\n  scruple policy sign policy.yaml --key-file policy.secret --out policy.note",
			"  scruple policy keygen policy.example.com --key-file policy.secret\n  scruple policy sign policy.yaml --key-file policy.secret --out policy.note",
		},
		args: oneName,
		run: func(_ *cobra.Command, args []string) error {
			if keyFile == "" {
				return a.usage(T{"--key-file is missing: the file that scruple policy keygen wrote", "缺少 --key-file：由 scruple policy keygen 写出的文件"})
			}
			text, err := readBounded(args[0])
			if err != nil {
				return err
			}
			key, err := readBounded(keyFile)
			if err != nil {
				return err
			}
			signed, err := sign(args[0], text, over, strings.TrimSpace(string(key)))
			if err != nil {
				return a.policyError(err)
			}
			if out != "" {
				if err := writeNew(out, signed); err != nil {
					return err
				}
			}
			return a.print(struct {
				Note string `json:"note"`
				Out  string `json:"out,omitempty"`
			}{string(signed), out}, func(w io.Writer) {
				if out == "" {
					fmt.Fprint(w, string(signed))
				}
			})
		},
	})
	cmd.Flags().StringVar(&keyFile, "key-file", "", a.t(T{"`FILE` of the secret half of the policy key", "政策密钥私钥文件 `FILE`"}))
	cmd.Flags().StringArrayVar(&over, "over", nil, a.t(T{"the general policy `FILE` that it is laid over; may be repeated", "其所叠加的一般政策文件 `FILE`；可重复"}))
	cmd.Flags().StringVar(&out, "out", "", a.t(T{"a new `FILE` rather than standard output", "写入新文件 `FILE`，而不是标准输出"}))
	return cmd
}

// sign signs a whole policy, or one that is laid over others.
func sign(name string, text []byte, over []string, key string) ([]byte, error) {
	if len(over) == 0 {
		signed, err := policy.Sign(text, key)
		var faults policy.Faults
		if errors.As(err, &faults) {
			for i := range faults {
				faults[i].File = name
			}
		}
		return signed, err
	}
	var under []policy.File
	for _, path := range over {
		data, err := readBounded(path)
		if err != nil {
			return nil, err
		}
		under = append(under, policy.File{Name: path, Data: data})
	}
	return policy.SignLayer(under, policy.File{Name: name, Data: text}, key)
}

func policyKeygenCommand(a *app) *cobra.Command {
	var keyFile string
	cmd := a.command(command{
		use:   "keygen NAME --key-file FILE",
		short: T{"make a policy key", "生成政策密钥"},
		long: T{
			"Makes an Ed25519 key for signing policies (or a controller's receipts). The secret half goes into a new file that\nonly you can read; the public half is printed, to be pinned at install (policy_key).",
			"生成用于签署政策（或控制者回执）的 Ed25519 密钥。私钥写入仅您可读的新文件；\n公钥输出到屏幕，安装时固定（policy_key）。",
		},
		example: T{"  scruple policy keygen policy.example.com --key-file policy.secret", "  scruple policy keygen policy.example.com --key-file policy.secret"},
		args:    oneName,
		run: func(_ *cobra.Command, args []string) error {
			if keyFile == "" {
				return a.usage(T{"--key-file is missing: where the secret half goes", "缺少 --key-file：私钥的保存位置"})
			}
			signer, verifier, err := policy.GenerateKey(args[0])
			if err != nil {
				return err
			}
			if err := writeNew(keyFile, []byte(signer+"\n")); err != nil {
				return err
			}
			return a.print(struct {
				Key string `json:"key"`
			}{verifier}, func(w io.Writer) { fmt.Fprintln(w, verifier) })
		},
	})
	cmd.Flags().StringVar(&keyFile, "key-file", "", a.t(T{"a new `FILE` for the secret half", "保存私钥的新文件 `FILE`"}))
	return cmd
}
