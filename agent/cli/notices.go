package cli

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/scruple-agent/scruple/agent/control"
)

// announcementWords are the kinds of announcements.
var announcementWords = map[string]T{
	"policy-change":  {"changed policy", "政策变更"},
	"breach":         {"breach", "数据泄露"},
	"end-of-service": {"end of service", "停止服务"},
}

func noticesCommand(a *app) *cobra.Command {
	cmd := a.command(command{
		use:   "notices",
		short: T{"what the controllers have announced: breaches, changed policies, the end of a service", "控制者的公告：数据泄露、政策变更、停止服务"},
		long: T{
			"Controllers announce with their own key, and this device asks for it with its uploads and about once a day; after\nyou have withdrawn everything about once a week, for as long as a controller may still hold something of yours.\nAfter a breach nothing but consent messages is sent to that controller until you decide.",
			"控制者用自己的密钥签发公告；本设备在上传时以及大约每天查询一次。您全部撤回同意之后，只要控制者仍可能保存您的数据，\n大约每周查询一次。发生数据泄露后，在您作出决定之前，除同意消息外不向该控制者发送任何数据。",
		},
		example: T{
			"  scruple notices list\n  scruple notices show messenger/3\n  scruple notices decide messenger/3 --continue",
			"  scruple notices list\n  scruple notices show messenger/3\n  scruple notices decide messenger/3 --continue",
		},
	})
	cmd.AddCommand(noticesListCommand(a), noticesShowCommand(a), noticesPullCommand(a), noticesDecideCommand(a))
	return cmd
}

func noticesListCommand(a *app) *cobra.Command {
	return a.command(command{
		use:     "list",
		short:   T{"every announcement that is kept here", "列出本机保存的全部公告"},
		long:    T{"Lists what the controllers have announced, what you have not read yet, and what waits for your decision.", "列出控制者的公告，标明尚未阅读和等待您决定的公告。"},
		example: T{"  scruple notices list\n  scruple notices list --json", "  scruple notices list\n  scruple notices list --json"},
		run: func(cmd *cobra.Command, _ []string) error {
			client, err := a.client()
			if err != nil {
				return err
			}
			list, err := client.Announcements(cmd.Context())
			if err != nil {
				return err
			}
			return a.print(list, func(w io.Writer) {
				if len(list) == 0 {
					fmt.Fprintln(w, a.t(T{"The controllers have announced nothing.", "控制者没有发布公告。"}))
					return
				}
				rows := [][]string{{
					a.t(T{"ANNOUNCEMENT", "公告"}), a.t(T{"KIND", "种类"}), a.t(T{"SIGNED", "签署时间"}), a.t(T{"STATE", "状态"}), a.t(T{"WHAT", "内容"}),
				}}
				for _, n := range list {
					what, _, _ := strings.Cut(n.What.In(a.lang), "\n")
					rows = append(rows, []string{n.ID, a.announcementKind(n.Kind), when(n.Time), a.announcementState(n), what})
				}
				table(w, rows)
			})
		},
	})
}

func (a *app) announcementKind(kind string) string {
	if words, ok := announcementWords[kind]; ok {
		return a.t(words)
	}
	return kind
}

func (a *app) announcementState(n control.Announcement) string {
	switch {
	case n.Decide:
		return a.t(T{"waits for your decision", "等待您的决定"})
	case n.Before:
		return a.t(T{"before your first consent", "早于您的首次同意"})
	case n.Unread:
		return a.t(T{"unread", "未读"})
	}
	return a.t(T{"read", "已读"})
}

func noticesShowCommand(a *app) *cobra.Command {
	return a.command(command{
		use:   "show ID",
		short: T{"one announcement in full", "显示一则公告的全文"},
		long: T{
			"Shows an announcement; from then on it counts as read. With --json the signed note is there in full, to be checked\nwith the controller's key without this program.",
			"显示一则公告的全文，此后视为已读。使用 --json 可得到完整的签名文本，可用控制者的公钥核验，无需本程序。",
		},
		example: T{"  scruple notices show messenger/3\n  scruple notices show 3 --json", "  scruple notices show messenger/3\n  scruple notices show 3 --json"},
		args:    oneName,
		run: func(cmd *cobra.Command, args []string) error {
			client, err := a.client()
			if err != nil {
				return err
			}
			n, err := client.ShowAnnouncement(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return a.print(n, func(w io.Writer) { a.writeAnnouncement(w, n) })
		},
	})
}

func (a *app) writeAnnouncement(w io.Writer, n control.Announcement) {
	rows := [][]string{
		{a.t(T{"announcement", "公告"}), n.ID + ", " + a.announcementKind(n.Kind)},
		{a.t(T{"signed", "签署时间"}), when(n.Time)},
		{a.t(T{"received", "收到时间"}), when(n.Received)},
	}
	if len(n.Categories) > 0 {
		rows = append(rows, []string{a.t(T{"since", "自何时起"}), n.Since.UTC().Format(time.DateOnly)},
			[]string{a.t(T{"categories", "涉及类别"}), strings.Join(n.Categories, ", ")})
	}
	if !n.Ends.IsZero() {
		rows = append(rows, []string{a.t(T{"ends", "停止日期"}), n.Ends.UTC().Format(time.DateOnly)},
			[]string{a.t(T{"erasure confirmed", "删除确认"}), when(n.Erased)})
	}
	if n.Policy > 0 {
		rows = append(rows, []string{a.t(T{"policy version", "政策版本"}), fmt.Sprint(n.Policy)})
	}
	table(w, rows)
	fmt.Fprintf(w, "\n%s\n", n.What.In(a.lang))
	if do := n.Do.In(a.lang); do != "" {
		fmt.Fprintf(w, "\n%s\n%s\n", a.t(T{"What you can do:", "您可以做什么："}), do)
	}
	if n.Decide {
		fmt.Fprintf(w, "\n%s\n", fmt.Sprintf(a.t(T{
			"Nothing but consent messages is sent to %s until you decide:\n  scruple notices decide %s --continue\n  scruple notices decide %s --stop [--clear]",
			"在您作出决定之前，除同意消息外不向 %s 发送任何数据：\n  scruple notices decide %s --continue\n  scruple notices decide %s --stop [--clear]",
		}), n.Controller, n.ID, n.ID))
	}
}

func noticesPullCommand(a *app) *cobra.Command {
	return a.command(command{
		use:     "pull",
		short:   T{"ask the controllers now", "立即向控制者查询"},
		long:    T{"Asks every controller that knows you now, instead of with the next upload or slot. What is not the next notice, signed\nby the controller's key, is refused.", "立即向每个认识您的控制者查询，而不等待下次上传或定时查询。不是由控制者密钥签署的下一则公告，一律拒绝。"},
		example: T{"  scruple notices pull", "  scruple notices pull"},
		run: func(cmd *cobra.Command, _ []string) error {
			client, err := a.client()
			if err != nil {
				return err
			}
			p, err := client.PullAnnouncements(cmd.Context())
			if err != nil {
				return err
			}
			err = a.print(p, func(w io.Writer) {
				switch {
				case len(p.Asked) == 0:
					fmt.Fprintln(w, a.t(T{"No controller knows you, so there is none to ask.", "没有控制者认识您，因此无处查询。"}))
				case len(p.New) == 0:
					fmt.Fprintln(w, a.t(T{"There is nothing new.", "没有新公告。"}))
				default:
					fmt.Fprintln(w, a.t(T{"New: ", "新公告："})+strings.Join(p.New, ", "))
				}
			})
			if len(p.Failed) == 0 || err != nil {
				return err
			}
			var list []string
			for _, id := range slices.Sorted(maps.Keys(p.Failed)) {
				list = append(list, id+": "+p.Failed[id])
			}
			return hinted{fmt.Errorf("%s", strings.Join(list, "\n")), a.t(T{"it is tried again by itself", "将自动重试"})}
		},
	})
}

func noticesDecideCommand(a *app) *cobra.Command {
	var goOn, stop, erase bool
	cmd := a.command(command{
		use:   "decide ID",
		short: T{"after a breach: go on, or stop everything to that controller", "数据泄露之后：继续，或停止向该控制者提供一切数据"},
		long: T{
			"Decides what follows a breach. --continue sends again what your consents allow. --stop withdraws every consent that you\nhave given to that controller; with --clear it is also asked to erase what it holds.",
			"决定数据泄露之后如何处理。--continue 恢复发送您所同意的内容；--stop 撤回您给予该控制者的全部同意，\n加上 --clear 同时要求其删除所保存的内容。",
		},
		example: T{
			"  scruple notices decide messenger/3 --continue\n  scruple notices decide messenger/3 --stop --clear",
			"  scruple notices decide messenger/3 --continue\n  scruple notices decide messenger/3 --stop --clear",
		},
		args: oneName,
		run: func(cmd *cobra.Command, args []string) error {
			if goOn == stop {
				return a.usage(T{"say either --continue or --stop", "请指明 --continue 或 --stop 之一"})
			}
			if erase && !stop {
				return a.usage(T{"--clear goes with --stop", "--clear 须与 --stop 同用"})
			}
			client, err := a.client()
			if err != nil {
				return err
			}
			d, err := client.DecideAnnouncement(cmd.Context(), control.DecideRequest{ID: args[0], Continue: goOn, Stop: stop, Clear: erase})
			if err != nil {
				return err
			}
			return a.print(d, func(w io.Writer) {
				if d.Continued {
					fmt.Fprintf(w, a.t(T{"%s: decided. What your consents allow is sent again.\n", "%s：已决定。恢复发送您所同意的内容。\n"}), d.ID)
					return
				}
				fmt.Fprintf(w, a.t(T{"%s: decided. Withdrawn: %s\n", "%s：已决定。已撤回：%s\n"}), d.ID, orElse(strings.Join(d.Withdrawn, ", "), "-"))
			})
		},
	})
	cmd.Flags().BoolVar(&goOn, "continue", false, a.t(T{"send again what the consents allow", "恢复发送所同意的内容"}))
	cmd.Flags().BoolVar(&stop, "stop", false, a.t(T{"withdraw every consent of that controller", "撤回给予该控制者的全部同意"}))
	cmd.Flags().BoolVar(&erase, "clear", false, a.t(T{"with --stop: ask it to erase what it holds", "与 --stop 同用：要求其删除所保存的内容"}))
	return cmd
}
