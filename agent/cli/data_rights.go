package cli

import (
	"encoding/base64"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/scruple-agent/scruple/agent/control"
)

// selection are the flags of erase that select a part.
type selection struct {
	all, yes    bool
	item        string
	fields      []string
	from, until string
}

func dataEraseCommand(a *app) *cobra.Command {
	var s selection
	cmd := a.command(command{
		use:   "erase CATEGORY/PURPOSE | CATEGORY | --all",
		short: T{"erase what was collected; the consent goes on", "删除已收集的数据；同意继续有效"},
		long: T{
			"Erases what lies on this device and asks the controller to erase what it has; the request is repeated until the\ncontroller's signed answer is there. Without a selection everything of the purpose goes; --item, --field, --from and --until\nselect a part; an hour (UTC) that --from or --until cuts goes as a whole, because a controller knows no more of a time than its\nhour. What cannot be deleted while the account exists, such as the account id, is named and stays.\nTo stop collecting as well: scruple consent withdraw --clear.",
			"删除本机上的内容，并要求控制者删除其持有的数据；请求会重复，直到收到控制者签名的答复。\n不加选择时删除该用途的全部内容；--item、--field、--from 和 --until 选择其中一部分；\n控制者只知道时间所在的小时（UTC），因此被 --from 或 --until 切分的小时整体删除。账号存续期间不可删除的\n项目（如账号）会予以说明并保留。如需同时停止收集：scruple consent withdraw --clear。",
		},
		example: T{
			"  scruple data erase location/nearby\n  scruple data erase posts --yes\n  scruple data erase posts/moments --item p-1 --yes\n  scruple data erase --all --from 2026-01-01 --until 2026-02-01 --yes",
			"  scruple data erase location/nearby\n  scruple data erase posts --yes\n  scruple data erase posts/moments --item p-1 --yes\n  scruple data erase --all --from 2026-01-01 --until 2026-02-01 --yes",
		},
		args: maybeTuple,
		run: func(cmd *cobra.Command, args []string) error {
			r, err := a.selected(s, firstOf(args))
			if err != nil {
				return err
			}
			client, err := a.client()
			if err != nil {
				return err
			}
			if !s.yes {
				if !a.terminal() {
					return a.usage(T{"erasing needs a yes: this is no terminal to ask at, so use --yes", "删除需要确认：当前不是可供询问的终端，请使用 --yes"})
				}
				if !a.confirm(T{"What was collected will be erased for good. Type yes to go on: ", "已收集的数据将被永久删除。输入 yes 继续："}) {
					return refusal{a.t(T{"nothing has been erased", "未删除任何内容"}), ""}
				}
			}
			done, err := client.EraseParts(cmd.Context(), r)
			if err != nil {
				return err
			}
			return a.print(done, func(w io.Writer) { a.writeErased(w, done) })
		},
	})
	f := cmd.Flags()
	f.BoolVar(&s.yes, "yes", false, a.t(T{"do not ask again", "不再询问"}))
	f.BoolVar(&s.all, "all", false, a.t(T{"everything of every category", "所有类别的全部内容"}))
	f.StringVar(&s.item, "item", "", a.t(T{"only the item of this `ID`", "仅编号为 `ID` 的条目"}))
	f.StringArrayVar(&s.fields, "field", nil, a.t(T{"only the field of this `NAME`; may be repeated", "仅名称为 `NAME` 的项目；可重复"}))
	f.StringVar(&s.from, "from", "", a.t(T{"only what is of this `TIME` or later: 2026-01-31 or 2026-01-31T15:04", "仅此 `TIME` 及以后的内容：2026-01-31 或 2026-01-31T15:04"}))
	f.StringVar(&s.until, "until", "", a.t(T{"only what is from before this `TIME`", "仅此 `TIME` 之前的内容"}))
	return cmd
}

func (a *app) selected(s selection, subject string) (r control.EraseRequest, err error) {
	if s.all == (subject != "") {
		return r, a.usage(T{"name a CATEGORY/PURPOSE or a CATEGORY, or use --all", "请指明“类别/用途”或类别，或使用 --all"})
	}
	r = control.EraseRequest{Subject: subject, All: s.all, Item: s.item, Fields: s.fields}
	if r.From, err = a.moment("--from", s.from); err == nil {
		r.Until, err = a.moment("--until", s.until)
	}
	return r, err
}

// moment reads a time as a person writes it, in their time zone.
func (a *app) moment(flag, text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	for _, layout := range []string{time.DateOnly, "2006-01-02T15:04", time.RFC3339} {
		if t, err := time.ParseInLocation(layout, text, time.Local); err == nil {
			return t, nil
		}
	}
	return time.Time{}, a.usage(T{"%s: not a time such as 2026-01-31 or 2026-01-31T15:04", "%s：不是 2026-01-31 或 2026-01-31T15:04 这样的时间"}, flag)
}

func (a *app) writeErased(w io.Writer, done control.Erased) {
	if len(done.Parts) == 0 {
		fmt.Fprintln(w, a.t(T{"Nothing is held that could be erased.", "没有可删除的内容。"}))
	}
	for _, p := range done.Parts {
		fmt.Fprintf(w, a.t(T{"%s: reports erased here: %d; the controller is asked to erase (request %s)\n", "%s：本机已删除的报告：%d；已要求控制者删除（请求编号 %s）\n"}), p.Tuple, p.Here, p.Request)
		if len(p.Kept) > 0 {
			fmt.Fprintf(w, a.t(T{"  stays while the account exists: %s; scruple account close\n", "  账号存续期间保留：%s；注销账号：scruple account close\n"}), strings.Join(p.Kept, ", "))
		}
	}
}

func dataCorrectCommand(a *app) *cobra.Command {
	var item string
	cmd := a.command(command{
		use:   "correct CATEGORY/PURPOSE [--item ID] FIELD=VALUE...",
		short: T{"correct what you entered, here and at the controller", "更正您填写的内容，本机和控制者一并更正"},
		long: T{
			"Changes fields of what was entered: on this device, in what waits to be sent, and at the controller, which answers with its\nsignature. --item says which one, where there are several. FIELD=@FILE takes the value from a file of at most 1 MiB; a list\nrepeats its field. Fields that are immutable, such as the account id, are refused with the reason.",
			"更正所填写的项目：本机、待发送的内容以及控制者处，控制者以签名答复。\n有多个条目时用 --item 指明。FIELD=@FILE 从文件（不超过 1 MiB）读取值；列表可重复同一项目。不可更改的项目（如账号）会被拒绝并说明理由。",
		},
		example: T{
			"  scruple data correct profile/details signature=\"back on Monday\"\n  scruple data correct posts/moments --item p-1 text=\"hello, world\"",
			"  scruple data correct profile/details signature=\"周一回来\"\n  scruple data correct posts/moments --item p-1 text=\"大家好\"",
		},
		args: tupleAndMore,
		run: func(cmd *cobra.Command, args []string) error {
			r := control.CorrectRequest{Item: item}
			for _, arg := range args[1:] {
				name, value, ok := strings.Cut(arg, "=")
				if !ok || name == "" {
					return a.usage(T{"a correction is FIELD=VALUE", "更正的写法是 FIELD=VALUE"})
				}
				path, file := strings.CutPrefix(value, "@")
				if file {
					b, err := a.readInput(path)
					if err != nil {
						return err
					}
					value = base64.StdEncoding.EncodeToString(b)
				}
				r.Fields = append(r.Fields, control.Field{Name: name, Value: value, Base64: file})
			}
			client, err := a.client()
			if err != nil {
				return err
			}
			c, err := client.Correct(cmd.Context(), args[0], r)
			if err != nil {
				return err
			}
			return a.print(c, func(w io.Writer) { a.writeCase(w, c) })
		},
	})
	cmd.Flags().StringVar(&item, "item", "", a.t(T{"the item of this `ID`", "编号为 `ID` 的条目"}))
	return cmd
}

func dataExplainCommand(a *app) *cobra.Command {
	return a.command(command{
		use:   "explain CATEGORY/PURPOSE | BATCH-ID",
		short: T{"why was this collected?", "为什么收集这项数据？"},
		long: T{
			"Says on what something rests: the clause and purpose of the policy, the consent with the hash of the notice that you were\nshown, and what was sent under it.",
			"说明收集的依据：政策的条款和用途、同意及所展示告知书的哈希值，以及据此发送的内容。",
		},
		example: T{"  scruple data explain location/nearby", "  scruple data explain location/nearby"},
		args:    maybeTuple,
		run: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return a.usage(T{"name a CATEGORY/PURPOSE or the id of a batch", "请指明“类别/用途”或批次编号"})
			}
			client, err := a.client()
			if err != nil {
				return err
			}
			ask := client.ExplainBatch
			if strings.Contains(args[0], "/") {
				ask = client.ExplainTuple
			}
			e, err := ask(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return a.print(e, func(w io.Writer) { a.writeExplanation(w, e) })
		},
	})
}

func (a *app) writeExplanation(w io.Writer, e control.Explanation) {
	fmt.Fprintf(w, "%s: %s\n", e.Tuple, e.Category.In(a.lang))
	fmt.Fprintf(w, a.t(T{"  what: %s\n", "  内容：%s\n"}), e.Description.In(a.lang))
	fmt.Fprintf(w, a.t(T{"  why: %s (clause %s of the guideline; policy %s, version %d)\n", "  用途：%s（指引第 %s 条；政策 %s，第 %d 版）\n"}), e.Purpose.In(a.lang), e.Clause, e.Policy.ID, e.Policy.Version)
	fmt.Fprintf(w, a.t(T{"  for whom: %s, %s\n", "  提供给：%s，%s\n"}), orElse(e.Controller.Name.In(a.lang), e.Controller.Controller), e.Controller.Contact)
	fmt.Fprintf(w, a.t(T{"  consent: %s\n", "  同意：%s\n"}), a.status(e.Status))
	for _, c := range e.Consents {
		line := fmt.Sprintf(a.t(T{"    given %s (%s), notice %s in %s, policy version %d", "    同意于 %s（%s），告知书 %s（%s），政策第 %d 版"}), when(c.Given), c.Channel, c.Notice, c.Lang, c.PolicyVersion)
		if !c.Ended.IsZero() {
			line += fmt.Sprintf(a.t(T{", ended %s", "，终止于 %s"}), when(c.Ended))
		}
		fmt.Fprintln(w, line)
	}
	if b := e.Batch; b != nil {
		fmt.Fprintf(w, a.t(T{"  this batch: sent %s, %s, SHA-256 %s\n", "  此批次：发送于 %s，%s，SHA-256 %s\n"}), when(b.Time), size(b.Bytes), b.SHA256)
		if len(b.Content) > 0 {
			fmt.Fprintf(w, "    %s\n", visible(string(b.Content)))
		}
		return
	}
	fmt.Fprintf(w, a.t(T{"  batches sent: %d\n", "  已发送的批次：%d\n"}), len(e.Sent))
	for _, b := range e.Sent {
		fmt.Fprintf(w, "    %s  %s  %s\n", when(b.Time), size(b.Bytes), orElse(b.Path[strings.LastIndex(b.Path, "/")+1:], "-"))
	}
}
