package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/scruple-agent/scruple/agent/control"
)

// maxSubmission is the longest submission in bytes that the daemon reads.
const maxSubmission = 1 << 20

func dataSubmitCommand(a *app) *cobra.Command {
	var file, origin string
	cmd := a.command(command{
		use:   "submit CATEGORY/PURPOSE --file FILE",
		short: T{"submit records of declared fields, as an application does", "像应用一样提交已声明字段的记录"},
		long: T{
			"Submits one JSON object, or an array of them, whose keys are fields that the policy declares for the purpose (bytes as\nbase64). What is not declared is refused, with the field's name. \"scruple policy show CATEGORY/PURPOSE\" lists the fields.\nApplications do the same with POST /v1/submissions/CATEGORY/PURPOSE.",
			"提交一个 JSON 对象或对象数组，其键须为政策为该用途声明的字段（二进制内容用 base64）。\n未声明的内容会被拒绝并指明字段名。“scruple policy show 类别/用途”列出各字段。\n应用通过 POST /v1/submissions/类别/用途 完成同样的操作。",
		},
		example: T{
			"  echo '{\"item\": \"1\", \"kind\": \"post\", \"text\": \"hello\"}' | scruple data submit posts/moments --file -",
			"  echo '{\"item\": \"1\", \"kind\": \"post\", \"text\": \"hello\"}' | scruple data submit posts/moments --file -",
		},
		args: oneTuple,
		run: func(cmd *cobra.Command, args []string) error {
			if file == "" {
				return a.usage(T{"--file is needed: a JSON file, or - for standard input", "需要 --file：JSON 文件，或以 - 表示标准输入"})
			}
			b, err := a.readInput(file)
			if err != nil {
				return err
			}
			body, err := asSubmission(b, origin)
			if err != nil {
				return a.usage(T{"%s: not a JSON object, nor an array of them", "%s：不是 JSON 对象或对象数组"}, file)
			}
			client, err := a.client()
			if err != nil {
				return err
			}
			done, err := client.Submit(cmd.Context(), args[0], body)
			if err != nil {
				return err
			}
			return a.print(done, func(w io.Writer) {
				if len(done.Items) == 0 { // statistics: what was handed over has been added to the counts
					fmt.Fprintf(w, a.t(T{"%s: counted\n", "%s：已计数\n"}), done.Tuple)
					return
				}
				fmt.Fprintf(w, a.t(T{"%s: submitted: %d\n", "%s：已提交：%d\n"}), done.Tuple, len(done.Items))
			})
		},
	})
	cmd.Flags().StringVar(&file, "file", "", a.t(T{"JSON `FILE`, - for standard input", "JSON 文件 `FILE`，- 表示标准输入"}))
	cmd.Flags().StringVar(&origin, "origin", "", a.t(T{"the third party it comes from, a `NAME` as the policy writes it", "数据所来自的第三方 `NAME`，与政策所写一致"}))
	return cmd
}

// readInput reads a file, or standard input for "-", up to what the daemon takes.
func (a *app) readInput(file string) ([]byte, error) {
	in := a.Stdin
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		in = f
	}
	b, err := io.ReadAll(io.LimitReader(in, maxSubmission+1))
	if err == nil && len(b) > maxSubmission {
		return nil, a.usage(T{"%s: larger than 1 MiB", "%s：大于 1 MiB"}, file)
	}
	return b, err
}

// asSubmission wraps an object or an array of them.
func asSubmission(b []byte, origin string) ([]byte, error) {
	s := control.Submission{Origin: origin}
	text := strings.TrimSpace(string(b))
	switch {
	case strings.HasPrefix(text, "["):
		if err := json.Unmarshal(b, &s.Records); err != nil {
			return nil, err
		}
	case strings.HasPrefix(text, "{") && json.Valid(b):
		s.Records = []json.RawMessage{b}
	default:
		return nil, errors.New("not JSON")
	}
	return json.Marshal(s)
}

func (a *app) writeItems(w io.Writer, list []control.Item) {
	for _, it := range list {
		from := a.t(T{"you", "本人"})
		if it.Client != "" {
			from = it.Client
		}
		if it.Origin != "" {
			from += ", " + it.Origin
		}
		fmt.Fprintf(w, a.t(T{"  item %s, %s, submitted by %s: %s\n", "  条目 %s，%s，提交者 %s：%s\n"}), it.Item, when(it.Time), from, it.Fields)
	}
}
