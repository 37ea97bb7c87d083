package cli

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/scruple-agent/scruple/agent/control"
	"github.com/scruple-agent/scruple/agent/policy"
	"github.com/scruple-agent/scruple/uploader/wire"
)

func guardianSignCommand(a *app) *cobra.Command {
	var key, out, accept string
	cmd := a.command(command{
		use:   "sign REQUEST --key FILE",
		short: T{"guardian's device: read what is asked, and sign it", "监护人的设备：阅读请求并签署"},
		long: T{
			"Shows in words what is asked, with the whole notice, or that of each purpose of a policy, where the request has it, and\nasks; only the word yes signs. Without a terminal, --accept takes the hash that was printed. It needs no daemon and no network.",
			"用文字显示请求内容；请求包含告知书或政策时显示全文（政策为每项用途的告知书），然后询问，只有输入“同意”或 yes 才会签署。\n没有终端时，用 --accept 给出所打印的哈希值。无需后台服务，也无需网络。",
		},
		example: T{
			"  scruple guardian sign ask --key guardian.key --out answer\n  scruple guardian sign scruple-request:o2FB... --key guardian.key",
			"  scruple guardian sign ask --key guardian.key --out answer\n  scruple guardian sign scruple-request:o2FB... --key guardian.key",
		},
		args: oneName,
		run: func(_ *cobra.Command, args []string) error {
			secret, err := a.guardianSecret(key)
			if err != nil {
				return err
			}
			text, err := fileOrText(args[0], "scruple-request:")
			if err != nil {
				return err
			}
			request, q, err := wire.DecodeRequest(text)
			if err != nil {
				return hinted{fmt.Errorf("%s: %w", args[0], err), a.t(T{"make it with scruple guardian request on the minor's device", "请在未成年人的设备上用 scruple guardian request 生成"})}
			}
			if err := a.writePolicy(a.Stderr, request, q); err != nil {
				return err
			}
			hash := wire.HashOf(request.Question).String()
			a.writeQuestion(a.Stderr, request, q, hash)
			if time.Now().Unix() > q.Expiry {
				return refusal{a.t(T{"the request has expired", "请求已过期"}), a.t(T{"ask again on the minor's device", "请在未成年人的设备上重新请求"})}
			}
			switch {
			case accept != "" && accept != hash:
				return refusal{a.t(T{"this is not the hash of the request", "该哈希值与请求不符"}), hash}
			case accept == "" && !a.terminal():
				return refusal{a.t(T{"nothing is signed unread: this is no terminal to ask at", "未经阅读不能签署：当前不是可供询问的终端"}), "--accept " + hash}
			case accept == "" && !a.confirm(T{"Do you approve this as the guardian? Type yes, anything else signs nothing: ", "您作为监护人是否批准？输入“同意”或 yes，其他输入不会签署："}):
				return refusal{a.t(T{"not approved: nothing was signed", "未批准：没有签署任何内容"}), ""}
			}
			signed, err := wire.SignApproval(secret, request.Question)
			if err != nil {
				return err
			}
			return a.writeApproval(signed, out)
		},
	})
	cmd.Flags().StringVar(&key, "key", "", a.t(T{"the guardian's secret key `FILE`", "监护人私钥文件 `FILE`"}))
	cmd.Flags().StringVar(&out, "out", "", a.t(T{"write the answer to `FILE`", "将答复写入 `FILE`"}))
	cmd.Flags().StringVar(&accept, "accept", "", a.t(T{"the `HASH` of the request that was printed", "所打印的请求哈希值 `HASH`"}))
	return cmd
}

func (a *app) guardianSecret(file string) (key []byte, err error) {
	if file == "" {
		return nil, a.usage(T{"--key is needed: the file that scruple guardian keygen made", "需要 --key：scruple guardian keygen 生成的文件"})
	}
	text, err := readBounded(file)
	if err != nil {
		return nil, err
	}
	key, err = wire.ParseGuardianSecret(string(text))
	if err != nil {
		return nil, a.usage(T{"%s is no guardian's secret key", "%s 不是监护人私钥"}, file)
	}
	return key, nil
}

// writePolicy shows a policy that is to be accepted as what a person would be asked for each of its purposes. One that is not
// the one that would be signed for is refused.
func (a *app) writePolicy(w io.Writer, r wire.ApprovalRequest, q wire.Question) error {
	if r.Policy == "" {
		return nil
	}
	doc, err := policy.Parse("", []byte(r.Policy))
	if err != nil || doc.Digest() != q.Policy {
		return refusal{a.t(T{"the request is about another policy than the one it brings", "请求所附的政策并非所请求接受的政策"}), a.t(T{"ask again on the minor's device; both devices need the same version of this program", "请在未成年人的设备上重新请求；两台设备须使用相同版本的程序"})}
	}
	for _, t := range doc.Tuples("") {
		e, err := doc.Effective(t.Category, t.Purpose)
		if err != nil {
			return err
		}
		fmt.Fprintf(w, "%s\n%s\n\n", t, strings.TrimSpace(e.Notice(policy.Lang(a.lang)).Text))
	}
	return nil
}

// writeQuestion says in words what a guardian is about to approve.
func (a *app) writeQuestion(w io.Writer, r wire.ApprovalRequest, q wire.Question, hash string) {
	view := control.GuardianQuestion{Kind: string(q.Kind), Policy: q.PolicyVersion, Band: q.Band, Expires: time.Unix(q.Expiry, 0)}
	if q.Category != "" {
		view.Tuple = q.Category + "/" + q.Purpose
	}
	if r.Notice != "" {
		fmt.Fprintf(w, "%s\n\n", strings.TrimSpace(r.Notice))
	}
	rows := [][]string{{a.t(T{"asked for", "请求"}), a.question(view)}}
	if q.Controller != "" {
		rows = append(rows, []string{a.t(T{"controller", "控制者"}), q.Controller})
	}
	if q.PolicyID != "" {
		rows = append(rows, []string{a.t(T{"policy", "政策"}), fmt.Sprintf(a.t(T{"%s version %d, digest %s", "%s 第 %d 版，摘要 %s"}), q.PolicyID, q.PolicyVersion, q.Policy)})
	}
	if q.Kind == wire.ApprovePolicy && r.Policy == "" {
		rows = append(rows, []string{"", a.t(T{"its text is not in this request; read it on the minor's device: scruple policy show", "此请求不含政策全文；请在未成年人的设备上阅读：scruple policy show"})})
	}
	if !q.Notice.IsZero() && r.Notice == "" {
		rows = append(rows, []string{a.t(T{"notice", "告知书"}), fmt.Sprintf(a.t(T{"not in this request; read it on the minor's device, SHA-256 %s", "不在此请求中；请在未成年人的设备上阅读，SHA-256 %s"}), q.Notice)})
	}
	if len(q.NewKey) > 0 {
		rows = append(rows, []string{a.t(T{"new key", "新密钥"}), wire.FormatGuardianKey(q.NewKey)})
	}
	rows = append(rows, []string{a.t(T{"hash", "哈希值"}), hash})
	table(w, rows)
}

// writeApproval writes what was signed to a file, or prints it.
func (a *app) writeApproval(signed wire.Approval, out string) error {
	text, err := wire.EncodeApproval(signed)
	if err != nil {
		return err
	}
	if out != "" {
		if err := createPrivate(out, text+"\n"); err != nil {
			return err
		}
	}
	return a.print(map[string]string{"text": text, "file": out}, func(w io.Writer) {
		if out == "" {
			fmt.Fprintln(w, text)
			return
		}
		fmt.Fprintf(w, a.t(T{"Signed: %s. On the minor's device: scruple guardian approve FILE\n", "已签署：%s。在未成年人的设备上：scruple guardian approve FILE\n"}), out)
	})
}

func guardianOrderCommand(a *app) *cobra.Command {
	var (
		key, from, out string
		erase          bool
	)
	cmd := a.command(command{
		use:   "withdraw-order CONTROLLER/CATEGORY/PURPOSE --from FILE --key FILE",
		short: T{"guardian's device: order that a consent is taken back", "监护人的设备：签署撤回某项同意的指令"},
		long: T{
			"Signs an order that the minor's device carries out with scruple guardian approve: the consent is taken back, with --clear\nalso erased at the controller. What you have approved for it and was not used counts no\nlonger. --from is a request or a report of that device, which says which device it is. It is valid for thirty days and\ncarried out once.",
			"签署一份指令，由未成年人的设备用 scruple guardian approve 执行：撤回该项同意，加上 --clear 同时要求控制者删除；此前批准而未使用的不再有效。\n--from 是该设备的请求或报告，用以指明设备。指令三十天内有效，只执行一次。",
		},
		example: T{
			"  scruple guardian withdraw-order messenger/steps/compare --from report.json --key guardian.key --out order",
			"  scruple guardian withdraw-order messenger/steps/compare --from report.json --key guardian.key --out order",
		},
		args: oneName,
		run: func(_ *cobra.Command, args []string) error {
			parts := strings.Split(args[0], "/")
			if len(parts) != 3 {
				return a.usage(T{"name CONTROLLER/CATEGORY/PURPOSE", "请指明“控制者/类别/用途”"})
			}
			secret, err := a.guardianSecret(key)
			if err != nil {
				return err
			}
			device, err := a.guardianDevice(from)
			if err != nil {
				return err
			}
			q := wire.Question{
				Kind: wire.OrderWithdraw, Subject: device, Controller: parts[0], Category: parts[1], Purpose: parts[2], Clear: erase,
				Expiry: time.Now().Add(30 * 24 * time.Hour).Unix(),
			}
			rand.Read(q.Nonce[:])
			question, err := q.Encode()
			if err != nil {
				return a.usage(T{"name CONTROLLER/CATEGORY/PURPOSE", "请指明“控制者/类别/用途”"})
			}
			signed, err := wire.SignApproval(secret, question)
			if err != nil {
				return err
			}
			return a.writeApproval(signed, out)
		},
	})
	cmd.Flags().StringVar(&key, "key", "", a.t(T{"the guardian's secret key `FILE`", "监护人私钥文件 `FILE`"}))
	cmd.Flags().StringVar(&from, "from", "", a.t(T{"a request or a report (--json) of the minor's device, `FILE`", "未成年人设备的请求或报告（--json）`FILE`"}))
	cmd.Flags().StringVar(&out, "out", "", a.t(T{"write the order to `FILE`", "将指令写入 `FILE`"}))
	cmd.Flags().BoolVar(&erase, "clear", false, a.t(T{"also ask the controller to erase", "同时要求控制者删除"}))
	return cmd
}

// guardianDevice reads which device a request or a report is of.
func (a *app) guardianDevice(file string) (device wire.Hash, err error) {
	if file == "" {
		return device, a.usage(T{"--from is needed: a request or a report of the minor's device", "需要 --from：未成年人设备的请求或报告"})
	}
	text, err := fileOrText(file, "scruple-request:")
	if err != nil {
		return device, err
	}
	if r, _, err := wire.DecodeRequest(text); err == nil {
		return r.Device, nil
	}
	var report control.GuardianReport
	if json.Unmarshal([]byte(text), &report) == nil {
		if b, err := hex.DecodeString(report.Device); err == nil && len(b) == len(device) {
			return wire.Hash(b), nil
		}
	}
	return device, a.usage(T{"%s is neither a request nor a report", "%s 既不是请求也不是报告"}, file)
}

func guardianReportCommand(a *app) *cobra.Command {
	var out string
	cmd := a.command(command{
		use:   "report",
		short: T{"minor's device: which kinds of data, and how much; no content", "未成年人的设备：数据的种类和数量，不含内容"},
		long: T{
			"Shows what a guardian may see: for each purpose whether it is agreed to, how much waits here, how much was sent, and\nwhat the controllers have announced about breaches, with their signatures. It holds no content. --out writes it as JSON.",
			"显示监护人可以了解的内容：每项用途是否已同意、本机待发数量、已发送数量，以及控制者关于数据泄露的公告及其签名。\n不含任何内容。--out 以 JSON 格式写入文件。",
		},
		example: T{"  scruple guardian report\n  scruple guardian report --out report.json", "  scruple guardian report\n  scruple guardian report --out report.json"},
		run: func(cmd *cobra.Command, _ []string) error {
			client, err := a.client()
			if err != nil {
				return err
			}
			report, err := client.GuardianReport(cmd.Context())
			if err != nil {
				return err
			}
			if out != "" {
				text, err := json.MarshalIndent(report, "", "  ")
				if err != nil {
					return err
				}
				if err := createPrivate(out, string(text)+"\n"); err != nil {
					return err
				}
			}
			return a.print(report, func(w io.Writer) {
				rows := [][]string{{
					a.t(T{"CATEGORY/PURPOSE", "类别/用途"}), a.t(T{"CONTROLLER", "控制者"}), a.t(T{"CONSENT", "同意"}), a.t(T{"HERE", "本机"}), a.t(T{"SENT", "已发送"}), a.t(T{"LAST SENT", "最近发送"}),
				}}
				for _, t := range report.Tuples {
					rows = append(rows, []string{t.Tuple, t.Controller, a.status(t.Status), fmt.Sprint(t.Stored), fmt.Sprintf("%d, %s", t.Sent, size(t.Bytes)), when(t.LastSent)})
				}
				table(w, rows)
				for _, n := range report.Breaches {
					fmt.Fprintln(w)
					a.writeAnnouncement(w, n)
				}
			})
		},
	})
	cmd.Flags().StringVar(&out, "out", "", a.t(T{"write it as JSON to `FILE`", "以 JSON 格式写入 `FILE`"}))
	return cmd
}
