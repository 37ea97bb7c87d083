package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"

	"github.com/scruple-agent/scruple/uploader/receiver"
	"github.com/scruple-agent/scruple/uploader/wire"
)

// draft is a notice as its author writes it.
type draft struct {
	Since      string            `yaml:"since"`
	Categories []string          `yaml:"categories"`
	Ends       string            `yaml:"ends"`
	Policy     uint              `yaml:"policy"`
	PolicyFile string            `yaml:"policy-file"`
	What       map[string]string `yaml:"what"`
	Do         map[string]string `yaml:"do"`
}

// noticeJSON is a notice as this command shows it.
type noticeJSON struct {
	Number     uint64            `json:"number"`
	Kind       wire.NoticeKind   `json:"kind"`
	Time       time.Time         `json:"time"`
	Since      *time.Time        `json:"since,omitempty"`
	Categories []string          `json:"categories,omitempty"`
	Ends       *time.Time        `json:"ends,omitempty"`
	Policy     uint              `json:"policy,omitempty"`
	What       map[string]string `json:"what"`
	Do         map[string]string `json:"do,omitempty"`
}

func (a *app) noticesCommand() *cobra.Command {
	say := a.say
	c := &cobra.Command{
		Use:   "notices",
		Short: say("Sign what has to be announced to everybody: a breach, a changed policy, the end of the service", "签发公告：数据泄露、政策变更、停止服务"),
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return usage(errors.New(say("a command is needed", "需要一个命令")), say("see: ", "参见：")+cmd.CommandPath()+" --help")
		},
	}
	c.AddCommand(a.noticesAddCommand(), a.noticesListCommand())
	return c
}

func (a *app) noticesAddCommand() *cobra.Command {
	say := a.say
	var kind, file, controller string
	c := &cobra.Command{
		Use:   "add",
		Short: say("Sign a notice and serve it to every device that asks", "签署一则公告，并提供给每台前来查询的设备"),
		Long: say(`Signs a notice with controller.key and stores it behind the latest. Devices ask with their uploads and about once a day;
those that have withdrawn everything ask about once a week while you may still hold something of theirs. What has been
signed cannot be taken back: publish another. The file is YAML, with every text in English and Chinese:

  since: 2026-11-01              breach: since when
  categories: [location, steps]  breach: of which data, as the policy names it
  ends: 2027-06-30               end-of-service: when
  policy-file: policy.note       policy-change: the signed policy, beside this file
  policy: 2                      policy-change: its version
  what: {en: "...", zh-CN: "..."}   what has happened, or will
  do: {en: "...", zh-CN: "..."}     what the person can do`,
			`用 controller.key 签署公告并排在最新一则之后。设备在上传时以及大约每天查询一次；已全部撤回同意的设备，在您仍可能保存其数据期间
大约每周查询一次。签发后无法收回，只能另发一则。文件为 YAML，所有文字须有英文和中文：

  since: 2026-11-01              数据泄露：自何时起
  categories: [location, steps]  数据泄露：涉及哪些数据（政策中的名称）
  ends: 2027-06-30               停止服务：日期
  policy-file: policy.note       政策变更：已签名的政策，与本文件同目录
  policy: 2                      政策变更：版本
  what: {en: "...", zh-CN: "..."}   发生了什么，或将发生什么
  do: {en: "...", zh-CN: "..."}     本人可以做什么`),
		Example: `  scruple-receiver notices add --dir ./receiver --kind breach --file breach.yaml
  scruple-receiver notices add --dir ./receiver --kind end-of-service --file end.yaml`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if kind == "" || file == "" {
				return usage(errors.New(say("--kind and --file are needed", "需要 --kind 和 --file")), say("see: ", "参见：")+cmd.CommandPath()+" --help")
			}
			n, policy, err := a.readNotice(wire.NoticeKind(kind), file)
			if err != nil {
				return err
			}
			return a.with(func(s *receiver.Store) error {
				signer, _, err := receiver.ReadNoteKey(filepath.Join(a.dir, receiver.ControllerKey))
				if err != nil {
					return failed(err, say("make one: scruple-receiver keygen --dir ", "可生成一个：scruple-receiver keygen --dir ")+a.dir)
				}
				signed, err := s.AddNotice(cmd.Context(), n, policy, controller, signer, accessor("notices add"))
				if errors.Is(err, wire.ErrNotice) {
					return usage(err, say("see: ", "参见：")+cmd.CommandPath()+" --help")
				}
				if err != nil {
					return err
				}
				if a.json {
					return a.writeJSON(showNotice(signed))
				}
				_, err = fmt.Fprintf(a.out, say("notice %d signed\n", "第 %d 号公告已签署\n"), signed.Number)
				return err
			})
		},
	}
	c.Flags().StringVar(&kind, "kind", "", say("policy-change, breach or end-of-service", "policy-change（政策变更）、breach（数据泄露）或 end-of-service（停止服务）"))
	c.Flags().StringVar(&file, "file", "", say(`what it says, YAML; "-" is standard input`, "公告内容（YAML）；“-”表示标准输入"))
	c.Flags().StringVar(&controller, "controller", "messenger", say("the controller of the policy that announces it", "发布公告的控制者（政策中的名称）"))
	return c
}

// readNotice reads a draft. What is missing in it, the signing says.
func (a *app) readNotice(kind wire.NoticeKind, file string) (n wire.Notice, policy []byte, err error) {
	var (
		text []byte
		d    draft
	)
	if file == "-" {
		text, err = io.ReadAll(io.LimitReader(a.in, wire.MaxNotice+1))
	} else {
		text, err = os.ReadFile(file)
	}
	if err != nil {
		return n, nil, err
	}
	if len(text) > wire.MaxNotice {
		return n, nil, usage(fmt.Errorf(a.say("%s: longer than %d bytes", "%s：超过 %d 字节"), file, wire.MaxNotice), "")
	}
	dec := yaml.NewDecoder(bytes.NewReader(text))
	dec.KnownFields(true)
	if dec.Decode(&d) != nil { // its message may hold what the file says
		return n, nil, usage(fmt.Errorf(a.say("%s: not the YAML of a notice", "%s：不是公告的 YAML"), file), a.say("see: scruple-receiver notices add --help", "参见：scruple-receiver notices add --help"))
	}
	n = wire.Notice{Kind: kind, Policy: d.Policy, What: trimmed(d.What), Do: trimmed(d.Do)}
	n.Categories = slices.Compact(slices.Sorted(slices.Values(d.Categories)))
	for _, t := range []struct {
		field, text string
		into        *time.Time
	}{{"since", d.Since, &n.Since}, {"ends", d.Ends, &n.Ends}} {
		if t.text == "" {
			continue
		}
		at, err := time.Parse(time.DateOnly, t.text)
		if err != nil {
			if at, err = time.Parse(time.RFC3339, t.text); err != nil {
				return n, nil, usage(fmt.Errorf(a.say("%s: %s is not a date", "%s：%s 不是日期"), file, t.field), a.say("as in 2026-11-01", "例如 2026-11-01"))
			}
		}
		*t.into = at.UTC()
	}
	if d.PolicyFile != "" {
		if !filepath.IsAbs(d.PolicyFile) {
			d.PolicyFile = filepath.Join(filepath.Dir(file), d.PolicyFile)
		}
		if policy, err = os.ReadFile(d.PolicyFile); err != nil {
			return n, nil, err
		}
	}
	return n, policy, nil
}

func trimmed(texts map[string]string) map[string]string {
	for lang, text := range texts {
		texts[lang] = strings.TrimSpace(text)
	}
	return texts
}

func (a *app) noticesListCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: a.say("List what has been announced", "列出已发布的公告"),
		Example: `  scruple-receiver notices list --dir ./receiver
  scruple-receiver notices list --dir ./receiver --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, verifier, err := receiver.ReadNoteKey(filepath.Join(a.dir, receiver.ControllerKey))
			if err != nil && a.dir != "" {
				return err
			}
			return a.with(func(s *receiver.Store) error {
				list := []noticeJSON{}
				for after := uint64(0); ; {
					more, err := s.Notices(cmd.Context(), after)
					if err != nil {
						return err
					}
					if len(more) == 0 {
						break
					}
					for _, b := range more {
						n, err := wire.OpenNotice(b.Note, verifier)
						if err != nil {
							return failed(err, a.say("controller.key is not the key that signed it", "controller.key 并非签署它的密钥"))
						}
						list, after = append(list, showNotice(n)), n.Number
					}
				}
				if a.json {
					return a.writeJSON(list)
				}
				w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
				fmt.Fprintln(w, a.say("NUMBER\tKIND\tSIGNED\tWHAT", "编号\t种类\t签署时间\t内容"))
				for _, n := range list {
					fmt.Fprintf(w, "%d\t%s\t%s\t%s\n", n.Number, n.Kind, n.Time.Format(time.DateOnly), strings.ReplaceAll(n.What[a.say("en", "zh-CN")], "\n", " "))
				}
				return w.Flush()
			})
		},
	}
}

func showNotice(n wire.Notice) noticeJSON {
	j := noticeJSON{Number: n.Number, Kind: n.Kind, Time: n.Time.UTC(), Categories: n.Categories, Policy: n.Policy, What: n.What, Do: n.Do}
	if !n.Since.IsZero() {
		j.Since = &n.Since
	}
	if !n.Ends.IsZero() {
		j.Ends = &n.Ends
	}
	return j
}
