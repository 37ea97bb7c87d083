package cli

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"rsc.io/qr"

	"github.com/scruple-agent/scruple/agent/control"
	"github.com/scruple-agent/scruple/uploader/wire"
)

func guardianCommand(a *app) *cobra.Command {
	cmd := a.command(command{
		use:   "guardian",
		short: T{"what a guardian approves for a minor, without a network between the two devices", "监护人为未成年人作出的批准，两台设备之间无需联网"},
		long: T{
			"The guardian makes a key on a device of their own (keygen) and gives its public half to the minor's device (enroll).\nThe minor's device makes a request, the guardian signs it, and the minor's device takes the answer: three files or lines\nof text, or a QR code. Each answer is for one thing, once. Nobody needs a guardian to refuse, take back or complain.",
			"监护人在自己的设备上生成密钥（keygen），把公钥交给未成年人的设备（enroll）。未成年人的设备生成请求，\n监护人签署，未成年人的设备接收答复：三个文件或三行文字，也可用二维码。每份答复只用于一件事、只用一次。\n拒绝、撤回和投诉无需监护人。",
		},
		example: T{
			"  scruple guardian keygen --out guardian.key          # guardian's device\n  scruple guardian enroll scruple-guardian-key:...    # minor's device\n  scruple guardian request steps/compare --out ask\n  scruple guardian sign ask --key guardian.key --out answer   # guardian's device\n  scruple guardian approve answer",
			"  scruple guardian keygen --out guardian.key          # 监护人的设备\n  scruple guardian enroll scruple-guardian-key:...    # 未成年人的设备\n  scruple guardian request steps/compare --out ask\n  scruple guardian sign ask --key guardian.key --out answer   # 监护人的设备\n  scruple guardian approve answer",
		},
	})
	cmd.AddCommand(guardianKeygenCommand(a), guardianEnrolCommand(a), guardianRequestCommand(a), guardianSignCommand(a),
		guardianApproveCommand(a), guardianReportCommand(a), guardianOrderCommand(a))
	return cmd
}

func guardianKeygenCommand(a *app) *cobra.Command {
	var out string
	cmd := a.command(command{
		use:   "keygen --out FILE",
		short: T{"guardian's device: make the guardian's key", "监护人的设备：生成监护人密钥"},
		long: T{
			"Makes a key in FILE, readable for this account alone, and prints its public half, for scruple guardian enroll on the\nminor's device. Keep the file: without it nothing new can be approved. A file that is there is not replaced.",
			"在 FILE 中生成密钥，仅当前账户可读，并打印其公钥，供未成年人设备上的 scruple guardian enroll 使用。\n请妥善保存该文件：丢失后将无法批准任何新事项。不会覆盖已有文件。",
		},
		example: T{"  scruple guardian keygen --out guardian.key", "  scruple guardian keygen --out guardian.key"},
		run: func(*cobra.Command, []string) error {
			if out == "" {
				return a.usage(T{"--out is needed", "需要 --out"})
			}
			secret, public := wire.NewGuardianKey()
			if err := createPrivate(out, secret+"\n"); err != nil {
				return err
			}
			return a.print(map[string]string{"key": public, "file": out}, func(w io.Writer) { fmt.Fprintln(w, public) })
		},
	})
	cmd.Flags().StringVar(&out, "out", "", a.t(T{"write the secret key to `FILE`", "将私钥写入 `FILE`"}))
	return cmd
}

// createPrivate writes a new file for this account alone; one that is there is not replaced.
func createPrivate(path, text string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	if err == nil {
		err = f.Sync()
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	return err
}

func guardianEnrolCommand(a *app) *cobra.Command {
	return a.command(command{
		use:   "enroll FILE|KEY",
		short: T{"minor's device: enrol the guardian's public key", "未成年人的设备：登记监护人的公钥"},
		long: T{
			"Enrols the public key that the guardian made with scruple guardian keygen on another device. It is done once, with the\nguardian present; another key later needs the approval of this one.",
			"登记监护人在另一台设备上用 scruple guardian keygen 生成的公钥。只登记一次，监护人应在场；\n以后更换密钥须经此密钥批准。",
		},
		example: T{"  scruple guardian enroll scruple-guardian-key:mC9...\n  scruple guardian enroll guardian.pub", "  scruple guardian enroll scruple-guardian-key:mC9...\n  scruple guardian enroll guardian.pub"},
		args:    oneName,
		run: func(cmd *cobra.Command, args []string) error {
			text, err := fileOrText(args[0], "scruple-guardian-key:")
			if err != nil {
				return err
			}
			if _, err := wire.ParseGuardianKey(text); err != nil {
				return a.usage(T{"this is no guardian's public key: it begins with scruple-guardian-key:", "这不是监护人公钥：公钥以 scruple-guardian-key: 开头"})
			}
			client, err := a.client()
			if err != nil {
				return err
			}
			age, err := client.EnrolGuardian(cmd.Context(), strings.TrimSpace(text))
			if err != nil {
				return err
			}
			return a.print(age, func(w io.Writer) { a.writeAge(w, age) })
		},
	})
}

// fileOrText returns the argument itself when it begins as what is wanted, else what the file of that name holds.
func fileOrText(arg, prefix string) (string, error) {
	if strings.HasPrefix(arg, prefix) {
		return arg, nil
	}
	b, err := readBounded(arg)
	return string(b), err
}

func guardianRequestCommand(a *app) *cobra.Command {
	var (
		out, band, newKey string
		code              bool
	)
	cmd := a.command(command{
		use:   "request CATEGORY/PURPOSE|policy|age|key",
		short: T{"minor's device: make a question for the guardian's device", "未成年人的设备：生成交给监护人设备的请求"},
		long: T{
			"Makes a question: agreeing to one purpose, accepting the policy in force, moving to a less protected age band\n(age --band BAND), or another guardian key (key --new-key KEY). It is one line of text, with the whole notice or policy\nin it; --qr shows a shorter one, without that text, as a QR code. It is open for thirty days and answered once.",
			"生成一项请求：同意某一用途、接受现行政策、改为保护程度较低的年龄段（age --band 年龄段），\n或更换监护人密钥（key --new-key 密钥）。请求是一行文字，包含告知书或政策全文；--qr 以二维码显示不含全文的短请求。\n请求三十天内有效，只答复一次。",
		},
		example: T{
			"  scruple guardian request policy --out ask\n  scruple guardian request steps/compare --qr\n  scruple guardian request age --band 14-17",
			"  scruple guardian request policy --out ask\n  scruple guardian request steps/compare --qr\n  scruple guardian request age --band 14-17",
		},
		args: oneName,
		run: func(cmd *cobra.Command, args []string) error {
			if (band != "") != (args[0] == "age") || (newKey != "") != (args[0] == "key") {
				return a.usage(T{"--band goes with age, and --new-key with key", "--band 用于 age，--new-key 用于 key"})
			}
			if _, ok := bandWords[band]; !ok {
				return a.usage(noBand)
			}
			r := control.GuardianRequest{Kind: args[0], Lang: a.lang, Band: band}
			switch {
			case strings.Contains(args[0], "/"):
				r.Kind, r.Tuple = "grant", args[0]
			case args[0] == "key":
				text, err := fileOrText(newKey, "scruple-guardian-key:")
				if err != nil {
					return err
				}
				r.Key = strings.TrimSpace(text)
			case args[0] != "policy" && args[0] != "age":
				return a.usage(T{"name a CATEGORY/PURPOSE, or policy, age, key", "请指明“类别/用途”，或 policy、age、key"})
			}
			client, err := a.client()
			if err != nil {
				return err
			}
			asked, err := client.AskGuardian(cmd.Context(), r)
			if err != nil {
				return err
			}
			if out != "" {
				if err := createPrivate(out, asked.Text+"\n"); err != nil {
					return err
				}
			}
			return a.print(asked, func(w io.Writer) {
				fmt.Fprintf(a.Stderr, "%s\n", a.question(asked.GuardianQuestion))
				switch {
				case code:
					writeQR(w, asked.Code)
				case out == "":
					fmt.Fprintln(w, asked.Text)
				}
				if out != "" {
					fmt.Fprintf(a.Stderr, a.t(T{"Written to %s. On the guardian's device: scruple guardian sign %s --key FILE\n", "已写入 %s。在监护人的设备上：scruple guardian sign %s --key FILE\n"}), out, filepath.Base(out))
				}
			})
		},
	})
	cmd.Flags().StringVar(&out, "out", "", a.t(T{"write the request to `FILE`", "将请求写入 `FILE`"}))
	cmd.Flags().BoolVar(&code, "qr", false, a.t(T{"show it as a QR code, without the text of notice or policy", "以二维码显示，不含告知书或政策全文"}))
	cmd.Flags().StringVar(&band, "band", "", a.t(T{"age: the less protected `BAND`", "用于 age：保护程度较低的年龄段 `BAND`"}))
	cmd.Flags().StringVar(&newKey, "new-key", "", a.t(T{"key: the new public `KEY`, or its file", "用于 key：新公钥 `KEY` 或其文件"}))
	return cmd
}

// writeQR draws a text as a QR code with half blocks, dark on light, with the quiet zone that readers need.
func writeQR(w io.Writer, text string) {
	code, err := qr.Encode(text, qr.L)
	if err != nil { // longer than the largest code: the text itself
		fmt.Fprintln(w, text)
		return
	}
	const quiet = 2
	dark := func(x, y int) bool { return x >= 0 && y >= 0 && x < code.Size && y < code.Size && code.Black(x, y) }
	for y := -quiet; y < code.Size+quiet; y += 2 {
		for x := -quiet; x < code.Size+quiet; x++ {
			switch top, bottom := dark(x, y), dark(x, y+1); {
			case top && bottom:
				io.WriteString(w, " ")
			case top:
				io.WriteString(w, "▄")
			case bottom:
				io.WriteString(w, "▀")
			default:
				io.WriteString(w, "█")
			}
		}
		io.WriteString(w, "\n")
	}
	fmt.Fprintln(w, text)
}

func guardianApproveCommand(a *app) *cobra.Command {
	return a.command(command{
		use:   "approve FILE|TEXT",
		short: T{"minor's device: take what the guardian has signed", "未成年人的设备：接收监护人签署的答复"},
		long: T{
			"Takes the guardian's answer to an open question of this device, or the guardian's order to take a consent back. What is\nforged, used, expired or of something else is refused. After the approval of a purpose the minor still answers\nthemselves: scruple consent give.",
			"接收监护人对本设备未决请求的答复，或监护人撤回某项同意的指令。伪造、已用过、已过期或与请求不符的一律拒绝。\n某项用途获批准后，仍由未成年人本人作答：scruple consent give。",
		},
		example: T{"  scruple guardian approve answer", "  scruple guardian approve answer"},
		args:    oneName,
		run: func(cmd *cobra.Command, args []string) error {
			text, err := fileOrText(args[0], "scruple-approval:")
			if err != nil {
				return err
			}
			client, err := a.client()
			if err != nil {
				return err
			}
			q, err := client.Approve(cmd.Context(), strings.TrimSpace(text))
			if err != nil {
				return err
			}
			return a.print(q, func(w io.Writer) {
				switch q.Kind {
				case "grant":
					fmt.Fprintf(w, a.t(T{"%s: approved by the guardian. To agree: scruple consent give %s\n", "%s：监护人已批准。如需同意：scruple consent give %s\n"}), q.Tuple, q.Tuple)
				case "withdraw":
					fmt.Fprintf(w, a.t(T{"%s: taken back by the guardian\n", "%s：监护人已撤回\n"}), q.Tuple)
				default:
					fmt.Fprintf(w, a.t(T{"approved: %s\n", "已批准：%s\n"}), a.question(q))
				}
			})
		},
	})
}
