package cli

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/scruple-agent/scruple/agent/control"
)

func settingsCommand(a *app) *cobra.Command {
	cmd := a.command(command{
		use:   "settings",
		short: T{"privacy settings: who can find you, add you, see what you post", "隐私设置：谁可以找到您、添加您、看到您的内容"},
		long: T{
			"The privacy settings that the policy declares, with their types and defaults. A change holds at once and the controller\nis told. It needs your consent to telling it: scruple consent give privacy-settings/settings.",
			"政策所声明的隐私设置及其类型和默认值。更改立即生效，并告知控制者。\n这需要您同意告知：scruple consent give privacy-settings/settings。",
		},
		example: T{
			"  scruple settings list\n  scruple settings set found-by-phone false\n  scruple settings add posts-hidden-from some-account\n  scruple settings reset posts-visible-to",
			"  scruple settings list\n  scruple settings set found-by-phone false\n  scruple settings add posts-hidden-from some-account\n  scruple settings reset posts-visible-to",
		},
	})
	change := func(use string, short, example T, args argument, request func(args []string) control.SettingRequest) *cobra.Command {
		return a.command(command{
			use: use, short: short, example: example, args: args,
			run: func(cmd *cobra.Command, args []string) error { return a.changeSetting(cmd.Context(), request(args)) },
		})
	}
	cmd.AddCommand(
		a.settingsListCommand(), a.settingsGetCommand(),
		change("set NAME VALUE", T{"change a setting", "更改设置"}, T{"  scruple settings set posts-visible-to only-me", "  scruple settings set posts-visible-to only-me"}, twoNames,
			func(args []string) control.SettingRequest {
				return control.SettingRequest{Name: args[0], Value: &args[1]}
			}),
		change("add NAME ENTRY", T{"add an entry to a list", "在列表中添加一项"}, T{"  scruple settings add posts-hidden-from some-account", "  scruple settings add posts-hidden-from some-account"}, twoNames,
			func(args []string) control.SettingRequest {
				return control.SettingRequest{Name: args[0], Add: &args[1]}
			}),
		change("remove NAME ENTRY", T{"remove an entry from a list", "从列表中移除一项"}, T{"  scruple settings remove posts-hidden-from some-account", "  scruple settings remove posts-hidden-from some-account"}, twoNames,
			func(args []string) control.SettingRequest {
				return control.SettingRequest{Name: args[0], Remove: &args[1]}
			}),
		change("reset NAME", T{"back to the default", "恢复默认值"}, T{"  scruple settings reset posts-visible-to", "  scruple settings reset posts-visible-to"}, oneName,
			func(args []string) control.SettingRequest { return control.SettingRequest{Name: args[0], Reset: true} }),
	)
	return cmd
}

func (a *app) settingsListCommand() *cobra.Command {
	return a.command(command{
		use: "list", short: T{"every setting, its value and what it may be", "列出各项设置、其值及可选值"},
		example: T{"  scruple settings list\n  scruple settings list --json", "  scruple settings list\n  scruple settings list --json"},
		run: func(cmd *cobra.Command, _ []string) error {
			client, err := a.client()
			if err != nil {
				return err
			}
			s, err := client.Settings(cmd.Context())
			if err != nil {
				return err
			}
			return a.print(s, func(w io.Writer) {
				for _, one := range s.Settings {
					a.writeSetting(w, one)
				}
				if s.Status != control.StatusGiven {
					fmt.Fprintf(w, a.t(T{
						"These are the defaults. Nobody is told of any: %s is not agreed to (scruple consent give %s).\n",
						"以上为默认值，尚未告知任何人：%s 未经同意（scruple consent give %s）。\n",
					}), s.Tuple, s.Tuple)
				}
			})
		},
	})
}

func (a *app) settingsGetCommand() *cobra.Command {
	return a.command(command{
		use: "get NAME", short: T{"one setting", "显示一项设置"}, args: oneName,
		example: T{"  scruple settings get posts-visible-to", "  scruple settings get posts-visible-to"},
		run: func(cmd *cobra.Command, args []string) error {
			client, err := a.client()
			if err != nil {
				return err
			}
			s, err := client.Settings(cmd.Context())
			if err != nil {
				return err
			}
			for _, one := range s.Settings {
				if one.Name == args[0] {
					return a.print(one, func(w io.Writer) { a.writeSetting(w, one) })
				}
			}
			return a.usage(T{"the policy has no setting %s: scruple settings list shows all", "政策中没有设置 %s：scruple settings list 列出全部"}, args[0])
		},
	})
}

func (a *app) changeSetting(ctx context.Context, r control.SettingRequest) error {
	client, err := a.client()
	if err != nil {
		return err
	}
	s, err := client.ChangeSetting(ctx, r)
	if err != nil {
		return err
	}
	return a.print(s, func(w io.Writer) {
		for _, one := range s.Settings {
			if one.Name == r.Name {
				a.writeSetting(w, one)
			}
		}
		if s.Delivered {
			fmt.Fprintln(w, a.t(T{"The controller has confirmed it.", "控制者已确认。"}))
		} else {
			fmt.Fprintln(w, a.t(T{"It is kept and sent to the controller by itself; the controller has not confirmed it yet.", "已保存并将自动发送给控制者；控制者尚未确认。"}))
		}
	})
}

func (a *app) writeSetting(w io.Writer, s control.Setting) {
	mark := " "
	if s.Set {
		mark = "*"
	}
	line := fmt.Sprintf("%s %s = %s", mark, s.Name, settingValue(s.Value))
	var also []string
	if len(s.Choices) > 0 {
		also = append(also, strings.Join(s.Choices, " | "))
	}
	if s.Set {
		also = append(also, fmt.Sprintf(a.t(T{"default %s", "默认 %s"}), settingValue(s.Default)))
	}
	if len(also) > 0 {
		line += "  (" + strings.Join(also, "; ") + ")"
	}
	fmt.Fprintf(w, "%s\n    %s\n", line, s.Label.In(a.lang))
}

func settingValue(v any) string {
	switch v := v.(type) {
	case nil:
		return "-"
	case []any:
		entries := make([]string, len(v))
		for i := range v {
			entries[i] = fmt.Sprint(v[i])
		}
		if len(entries) == 0 {
			return "-"
		}
		return strings.Join(entries, ", ")
	}
	return fmt.Sprint(v)
}
