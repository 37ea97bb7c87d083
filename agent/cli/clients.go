package cli

import (
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/scruple-agent/scruple/agent/control"
)

func clientsCommand(a *app) *cobra.Command {
	cmd := a.command(command{
		use:   "clients",
		short: T{"the applications on this device, and what each may use", "本机的应用及其可使用的内容"},
		long: T{
			"An application on this device has no access to anything before you register it and let it use a category for a\npurpose; that it was registered gives it nothing yet. It is known by the program that it is, or by its account. A service\nthat wants your location is told an area only, no finer than you say, while a feature is used, and each time is recorded.",
			"本机上的应用在您登记并允许其为某一用途使用某一类别之前，无权使用任何内容；仅登记并不给予任何权限。\n应用以其程序或账户识别。需要位置的服务只会得到一个不比您所定更精细的区域，且仅在使用相应功能期间，每次均有记录。",
		},
		example: T{
			"  scruple clients register rides --exe /opt/rides/bin/rides\n  scruple clients allow rides location/third-party --level 10 --for 720h\n  scruple clients accesses",
			"  scruple clients register rides --exe /opt/rides/bin/rides\n  scruple clients allow rides location/third-party --level 10 --for 720h\n  scruple clients accesses",
		},
	})
	cmd.AddCommand(clientsListCommand(a), clientsRegisterCommand(a), clientsRemoveCommand(a), clientsAllowCommand(a), clientsDenyCommand(a), clientsAccessesCommand(a))
	return cmd
}

func clientsListCommand(a *app) *cobra.Command {
	return a.command(command{
		use: "list", short: T{"the registered applications", "已登记的应用"},
		example: T{"  scruple clients list\n  scruple clients list --json", "  scruple clients list\n  scruple clients list --json"},
		run: func(cmd *cobra.Command, _ []string) error {
			client, err := a.client()
			if err != nil {
				return err
			}
			list, err := client.Clients(cmd.Context())
			if err != nil {
				return err
			}
			return a.print(list, func(w io.Writer) {
				for _, c := range list {
					a.writeClient(w, c)
				}
				if len(list) == 0 {
					fmt.Fprintln(w, a.t(T{"No application is registered, so none has access to anything.", "没有已登记的应用，因此没有应用可以使用任何内容。"}))
				}
			})
		},
	})
}

func (a *app) writeClient(w io.Writer, c control.Registered) {
	known := c.Exe
	if c.UID != nil {
		known = join(", ", known, fmt.Sprintf(a.t(T{"account %d", "账户 %d"}), *c.UID))
	}
	fmt.Fprintf(w, "%s  %s\n", c.Name, known)
	for _, row := range c.Access {
		line := fmt.Sprintf(a.t(T{"  %s until %s", "  %s，至 %s"}), row.Tuple, when(row.Until))
		if row.Level > 0 {
			line += fmt.Sprintf(a.t(T{", no finer than level %d", "，不比级别 %d 更精细"}), row.Level)
		}
		if len(row.Recipients) > 0 {
			line += fmt.Sprintf(a.t(T{"; received by %s and %s", "；接收方：%s 和 %s"}), strings.Join(row.Recipients, ", "), row.Controller)
		}
		if !row.InForce {
			line += a.t(T{" (not in force)", "（未生效）"})
		}
		fmt.Fprintln(w, line)
	}
	if len(c.Access) == 0 {
		fmt.Fprintln(w, a.t(T{"  no access", "  无权限"}))
	}
}

func clientsRegisterCommand(a *app) *cobra.Command {
	var (
		exe string
		uid int
	)
	cmd := a.command(command{
		use:   "register NAME --exe PATH | --uid NUMBER",
		short: T{"let the daemon know an application; this gives it no access", "登记应用；这不会给予任何权限"},
		long: T{
			"The application is the process that runs this program, or that runs under this account, or both. Programs of other\naccounts can only be known by the account. Several names may have one program, which then keeps apart what runs in it.",
			"应用即运行该程序的进程，或以该账户运行的进程，或两者兼备。其他账户的程序只能以账户识别。\n多个名称可以对应同一程序，由该程序自行区分其中运行的内容。",
		},
		example: T{"  scruple clients register rides --exe /opt/rides/bin/rides\n  scruple clients register kiosk --uid 2001", "  scruple clients register rides --exe /opt/rides/bin/rides\n  scruple clients register kiosk --uid 2001"},
		args:    oneName,
		run: func(cmd *cobra.Command, args []string) error {
			r := control.ClientRequest{Name: args[0]}
			if exe != "" {
				path, err := filepath.Abs(exe)
				if err != nil {
					return err
				}
				r.Exe = path
			}
			if cmd.Flags().Changed("uid") {
				r.UID = &uid
			}
			if r.Exe == "" && r.UID == nil {
				return a.usage(T{"--exe or --uid is needed", "需要 --exe 或 --uid"})
			}
			client, err := a.client()
			if err != nil {
				return err
			}
			c, err := client.RegisterClient(cmd.Context(), r)
			if err != nil {
				return err
			}
			return a.print(c, func(w io.Writer) { a.writeClient(w, c) })
		},
	})
	cmd.Flags().StringVar(&exe, "exe", "", a.t(T{"its program, a `PATH`", "其程序的路径 `PATH`"}))
	cmd.Flags().IntVar(&uid, "uid", 0, a.t(T{"the `NUMBER` of its account", "其账户编号 `NUMBER`"}))
	return cmd
}

func clientsRemoveCommand(a *app) *cobra.Command {
	return a.command(command{
		use: "remove NAME", short: T{"end an application's registration and all its access", "取消应用的登记及其全部权限"}, args: oneName,
		example: T{"  scruple clients remove rides", "  scruple clients remove rides"},
		run: func(cmd *cobra.Command, args []string) error {
			client, err := a.client()
			if err != nil {
				return err
			}
			if err := client.RemoveClient(cmd.Context(), args[0]); err != nil {
				return err
			}
			return a.print(map[string]string{"name": args[0]}, func(w io.Writer) {
				fmt.Fprintf(w, a.t(T{"%s is not registered any more and has access to nothing\n", "%s 已取消登记，无权使用任何内容\n"}), args[0])
			})
		},
	})
}

func clientsAllowCommand(a *app) *cobra.Command {
	var (
		d     time.Duration
		level int
	)
	cmd := a.command(command{
		use:   "allow NAME CATEGORY/PURPOSE [--for DURATION] [--level N]",
		short: T{"let an application use a category for a purpose", "允许应用为某一用途使用某一类别"},
		long: T{
			"It may submit to it, delete what it submitted itself, and open the feature's sessions; nothing of what others submitted\nis told to it. Your consent to the category and purpose is needed besides, and withdrawing that ends this too.\nA location is told as an area of the S2 level, 0 (a continent) to what the policy allows.",
			"应用可以提交、删除其自己提交的条目，以及打开相应功能的会话；不会得知其他应用提交的内容。\n此外还需要您对该类别和用途的同意；撤回同意即同时失效。\n位置以 S2 网格级别的区域给出，从 0（大洲）到政策允许的级别。",
		},
		example: T{"  scruple clients allow messenger posts/moments\n  scruple clients allow rides location/third-party --level 10 --for 720h", "  scruple clients allow messenger posts/moments\n  scruple clients allow rides location/third-party --level 10 --for 720h"},
		args:    twoNames,
		run: func(cmd *cobra.Command, args []string) error {
			if d < 0 || level < 0 {
				return a.usage(T{"--for and --level: not below 0", "--for 和 --level 不能小于 0"})
			}
			client, err := a.client()
			if err != nil {
				return err
			}
			c, err := client.AllowClient(cmd.Context(), args[0], control.AccessRequest{
				Tuple: args[1], Seconds: int64((d + time.Second - 1) / time.Second), Level: level,
			})
			if err != nil {
				return err
			}
			return a.print(c, func(w io.Writer) { a.writeClient(w, c) })
		},
	})
	cmd.Flags().DurationVar(&d, "for", 0, a.t(T{"how long, a `DURATION` such as 720h; the longest allowed when left out", "时长 `DURATION`，如 720h；省略则为允许的最长时间"}))
	cmd.Flags().IntVar(&level, "level", 0, a.t(T{"the finest S2 `LEVEL` of a location; what the policy allows when left out", "位置的最精细 S2 级别 `LEVEL`；省略则为政策允许的级别"}))
	return cmd
}

func clientsDenyCommand(a *app) *cobra.Command {
	return a.command(command{
		use: "deny NAME CATEGORY/PURPOSE", short: T{"end an application's access", "取消应用的权限"}, args: twoNames,
		example: T{"  scruple clients deny rides location/third-party", "  scruple clients deny rides location/third-party"},
		run: func(cmd *cobra.Command, args []string) error {
			client, err := a.client()
			if err != nil {
				return err
			}
			if err := client.DenyClient(cmd.Context(), args[0], args[1]); err != nil {
				return err
			}
			return a.print(map[string]string{"name": args[0], "tuple": args[1]}, func(w io.Writer) {
				fmt.Fprintf(w, a.t(T{"%s has no access to %s any more\n", "%s 不再有权使用 %s\n"}), args[0], args[1])
			})
		},
	})
}

func clientsAccessesCommand(a *app) *cobra.Command {
	return a.command(command{
		use: "accesses", short: T{"every time an application was told your location", "应用每次获知您位置的记录"},
		long: T{
			"The newest 1,024 of each application, newest first. The record says when, to whom and how finely, and not where you were.",
			"每个应用最近 1024 次，最新的在前。记录说明时间、对象和精细程度，不说明您当时的位置。",
		},
		example: T{"  scruple clients accesses\n  scruple clients accesses --json", "  scruple clients accesses\n  scruple clients accesses --json"},
		run: func(cmd *cobra.Command, _ []string) error {
			client, err := a.client()
			if err != nil {
				return err
			}
			list, err := client.ClientUses(cmd.Context())
			if err != nil {
				return err
			}
			return a.print(list, func(w io.Writer) {
				for _, u := range list {
					fmt.Fprintf(w, a.t(T{"%s  %s  %s, level %d, for %s\n", "%s  %s  %s，级别 %d，接收方 %s\n"}), when(u.Time), u.Client, u.Tuple, u.Level, strings.Join(u.Recipients, ", "))
				}
				if len(list) == 0 {
					fmt.Fprintln(w, a.t(T{"No application was told your location.", "没有应用获知过您的位置。"}))
				}
			})
		},
	})
}
