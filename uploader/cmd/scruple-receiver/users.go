package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/scruple-agent/scruple/hasher/canonical"
	"github.com/scruple-agent/scruple/uploader/receiver"
)

// Bounds of a list of users.
const (
	maxUsers = 1 << 20
	maxLine  = 1 << 10 // bytes
)

func (a *app) usersCommand() *cobra.Command {
	say := a.say
	c := &cobra.Command{
		Use:   "users",
		Short: say("Register users, so that address books can be matched", "登记用户，以便与通讯录比对"),
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return usage(errors.New(say("a command is needed", "需要一个命令")), say("see: ", "参见：")+cmd.CommandPath()+" --help")
		},
	}
	c.AddCommand(a.usersAddCommand(), a.usersListCommand(), a.usersRemoveCommand())
	return c
}

func (a *app) usersAddCommand() *cobra.Command {
	say := a.say
	var (
		name, file, region string
		phones, emails     []string
	)
	c := &cobra.Command{
		Use:   "add",
		Short: say("Register users; only digests of their identifiers are stored", "登记用户；只保存其号码和邮箱的摘要"),
		Long: say(`Registers users. Each phone number or e-mail address is spelt canonically, digested under the epoch key in force, and
forgotten. Lists come one line per identifier, "NAME,IDENTIFIER", from --file or standard input ("-"): unlike flags,
these are not seen by other users of the machine. All are added or none.`,
			`登记用户。每个电话号码或邮箱地址先化为统一写法，再用当前密钥生成摘要，原值随即丢弃。
名单每行一个，格式为“名称,号码或邮箱”，来自 --file 或标准输入（“-”）：与选项不同，本机其他用户看不到它们。要么全部登记，要么一个也不登记。`),
		Example: `  scruple-receiver users add --dir ./receiver --name ann --phone +12025550101
  printf 'ann,+12025550101\nbob,bob@example.com\n' | scruple-receiver users add --dir ./receiver --file -`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if region != "" && !canonical.ValidRegion(region) {
				return usage(errors.New(say("--region: no such region", "--region：没有这个地区")), say("two upper-case letters, as CN", "两个大写字母，例如 CN"))
			}
			var list []receiver.Identifier
			for _, p := range phones {
				list = append(list, receiver.Identifier{Name: name, Phone: p})
			}
			for _, e := range emails {
				list = append(list, receiver.Identifier{Name: name, Email: e})
			}
			switch {
			case (len(list) > 0) == (file != ""):
				return usage(errors.New(say("either --phone and --email with --name, or --file is needed", "需要 --name 加 --phone 或 --email，或者 --file")), say(`"-" is standard input`, "“-”表示标准输入"))
			case file != "":
				var err error
				if list, err = a.readUsers(file); err != nil {
					return err
				}
			}
			return a.addUsers(cmd, list, region)
		},
	}
	f := c.Flags()
	f.StringVar(&name, "name", "", say("the user's id in your service; it is stored", "该用户在您服务中的标识；会被保存"))
	f.StringArrayVar(&phones, "phone", nil, say("phone number; may be repeated", "电话号码；可重复"))
	f.StringArrayVar(&emails, "email", nil, say("e-mail address; may be repeated", "邮箱地址；可重复"))
	f.StringVar(&file, "file", "", say("list of users", "用户名单"))
	f.StringVar(&region, "region", "", say("region in which national numbers are read, as CN", "国内号码所属地区，例如 CN"))
	return c
}

func (a *app) addUsers(cmd *cobra.Command, list []receiver.Identifier, region string) error {
	return a.with(func(s *receiver.Store) error {
		n, err := s.AddUsers(cmd.Context(), list, region, time.Now())
		var bad *receiver.UserError
		if errors.As(err, &bad) {
			return failed(fmt.Errorf(a.say("line %d: %w; none was added", "第 %d 行：%w；一个也没有登记"), bad.Index+1, bad.Err),
				a.say("numbers without country code need --region", "没有国家代码的号码需要 --region"))
		} else if err != nil {
			return err
		}
		if a.json {
			return a.writeJSON(map[string]int{"identifiers": len(list), "digests": n})
		}
		_, err = fmt.Fprintf(a.out, a.say("%d identifiers registered as %d digests\n", "已登记 %d 个号码或邮箱，保存为 %d 个摘要\n"), len(list), n)
		return err
	})
}

// readUsers reads "NAME,IDENTIFIER" lines. Errors name the line and hold no value. Empty lines are not allowed, so that the
// number of an identifier is the number of its line.
func (a *app) readUsers(file string) (list []receiver.Identifier, err error) {
	in := a.in
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		in = f
	}
	return parseUsers(in, a.say)
}

func parseUsers(in io.Reader, say words) ([]receiver.Identifier, error) {
	var list []receiver.Identifier
	sc := bufio.NewScanner(in)
	sc.Buffer(make([]byte, 0, maxLine), maxLine)
	for sc.Scan() {
		name, id, ok := strings.Cut(sc.Text(), ",")
		if len(list) == maxUsers {
			return nil, fmt.Errorf(say("more than %d lines", "超过 %d 行"), maxUsers)
		}
		if !ok {
			return nil, fmt.Errorf(say("line %d: not NAME,IDENTIFIER", "第 %d 行：格式不是“名称,号码或邮箱”"), len(list)+1)
		}
		u := receiver.Identifier{Name: strings.TrimSpace(name), Phone: strings.TrimSpace(id)}
		if strings.Contains(id, "@") {
			u.Phone, u.Email = "", u.Phone
		}
		list = append(list, u)
	}
	if err := sc.Err(); err != nil {
		return nil, fmt.Errorf(say("line %d: %w", "第 %d 行：%w"), len(list)+1, err)
	}
	return list, nil
}

func (a *app) usersListCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Short:   a.say("List the registered users", "列出已登记的用户"),
		Example: "  scruple-receiver users list --dir ./receiver",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.with(func(s *receiver.Store) error {
				list, err := s.Users(cmd.Context())
				if err != nil {
					return err
				}
				if a.json {
					if list == nil {
						list = []receiver.User{}
					}
					return a.writeJSON(list)
				}
				w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
				fmt.Fprintln(w, a.say("NAME\tPHONES\tE-MAILS\tDIGESTS", "名称\t电话\t邮箱\t摘要"))
				for _, u := range list {
					fmt.Fprintf(w, "%s\t%d\t%d\t%d\n", u.Name, u.Phones, u.Emails, u.Digests)
				}
				return w.Flush()
			})
		},
	}
}

func (a *app) usersRemoveCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "remove NAME",
		Short:   a.say("Forget a registered user, also where address books had matched", "删除一个已登记的用户，包括通讯录中已匹配到的记录"),
		Example: "  scruple-receiver users remove ann --dir ./receiver",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.with(func(s *receiver.Store) error {
				found, err := s.RemoveUser(cmd.Context(), args[0])
				if err != nil {
					return err
				}
				if !found {
					return failed(errors.New(a.say("no such user", "没有这个用户")), a.say("see: scruple-receiver users list", "参见：scruple-receiver users list"))
				}
				if a.json {
					return a.writeJSON(map[string]bool{"removed": true})
				}
				_, err = fmt.Fprintln(a.out, a.say("removed", "已删除"))
				return err
			})
		},
	}
}
