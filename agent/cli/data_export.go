package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"html/template"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/scruple-agent/scruple/agent/control"
)

func dataExportCommand(a *app) *cobra.Command {
	var (
		out  string
		page bool
	)
	cmd := a.command(command{
		use:   "export [CATEGORY/PURPOSE] [--html] [-o FILE]",
		short: T{"everything held here and at the receivers, as JSON or as a page", "导出本机和接收端持有的全部内容，JSON 或网页"},
		long: T{
			"Writes everything that is held on this device and at every receiver: reports, items, what was sent, the ledger, receipts, cases and\nsettings. As JSON, or with --html as a page that needs nothing else and runs nothing. The file is readable by you alone, and one\nthat is there is not overwritten. What could not be had is named at its end, and the controller is asked for it.",
			"写出本机和每个接收端持有的全部内容：报告、条目、已发送的内容、账本、回执、请求和设置。\n格式为 JSON；使用 --html 时为可独立阅读、不含脚本的网页。文件仅您可读，且不会覆盖已有文件。\n未能取得的内容列在末尾，并已向控制者提出查阅请求。",
		},
		example: T{
			"  scruple data export -o mine.json\n  scruple data export --html -o mine.html\n  scruple data export contacts/find-friends > contacts.json",
			"  scruple data export -o mine.json\n  scruple data export --html -o mine.html\n  scruple data export contacts/find-friends > contacts.json",
		},
		args: maybeTuple,
		run: func(cmd *cobra.Command, args []string) error {
			if page && a.json {
				return a.usage(T{"--html and --json exclude each other", "--html 与 --json 不能同时使用"})
			}
			client, err := a.client()
			if err != nil {
				return err
			}
			data, err := client.Export(cmd.Context(), firstOf(args))
			if err != nil {
				return err
			}
			text, err := a.exported(data, page)
			if err != nil {
				return fmt.Errorf("export: %w", err)
			}
			if out == "" {
				_, err := a.Stdout.Write(text)
				return err
			}
			return writeNew(out, text)
		},
	})
	cmd.Flags().StringVarP(&out, "out", "o", "", a.t(T{"a new `FILE` rather than standard output", "写入新文件 `FILE`，而不是标准输出"}))
	cmd.Flags().BoolVar(&page, "html", false, a.t(T{"as a page", "以网页格式输出"}))
	return cmd
}

func (a *app) exported(data control.Export, page bool) ([]byte, error) {
	if page {
		return a.exportPage(data)
	}
	text, err := json.MarshalIndent(data, "", "  ")
	return append(text, '\n'), err
}

// pageHead is the head of every page: no script, nothing from elsewhere.
const pageHead = `<!DOCTYPE html>
<html lang="{{.Lang}}"><head><meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="referrer" content="no-referrer"><title>{{t "title"}}</title>
<style>
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1a1a1a;background:#fff}
h1{font-size:1.6rem}h2{font-size:1.2rem;margin-top:2.5rem;border-bottom:1px solid #bbb}h3{font-size:1rem}
table{border-collapse:collapse;width:100%}td,th{text-align:left;vertical-align:top;padding:.2rem .6rem .2rem 0;overflow-wrap:anywhere}
pre{white-space:pre-wrap;overflow-wrap:anywhere;background:#f4f4f4;padding:.5rem;font-size:.85rem}
.late{color:#a00;font-weight:bold}small{color:#555}
@media (prefers-color-scheme:dark){body{color:#eee;background:#111}pre{background:#222}small{color:#aaa}.late{color:#f77}}
</style></head><body>
`

var exportTemplate = pageHead + `<h1>{{t "title"}}</h1>
<p>{{when .Data.Time}} · {{t "policy"}} {{.Data.Policy.ID}} {{.Data.Policy.Version}} · Scruple {{.Data.Version}}</p>
<p>{{t "intro"}}</p>
{{range .Data.Missing}}<p class="late">{{t "missing"}} {{.}}</p>{{end}}
<h2>{{t "consents"}}</h2><table><tr><th>{{t "what"}}</th><th>{{t "state"}}</th><th>{{t "since"}}</th></tr>
{{range .Data.Consents}}<tr><td>{{in .Category}}<br><small>{{.Tuple}}: {{in .Purpose}}</small></td><td>{{status .Status}}</td><td>{{when .Since}}</td></tr>{{end}}</table>
<h2>{{t "held"}}</h2>
{{range .Data.Tuples}}<h3>{{.Tuple}}</h3>
{{range .Items}}<p><small>{{when .Time}} {{.Item}}</small></p><pre>{{pretty .Fields}}</pre>{{end}}
{{if .Reports}}<p>{{t "waiting"}}</p>{{end}}{{range .Reports}}<p><small>{{when .Time}}</small></p><pre>{{pretty .Fields}}</pre>{{end}}
{{if .Remote}}<p>{{t "remote"}}</p><pre>{{pretty .Remote}}</pre>{{end}}
{{if .RemoteError}}<p class="late">{{t "silent"}} {{.RemoteError}}</p>{{end}}{{else}}<p>{{t "nothing"}}</p>{{end}}
{{with .Data.Settings}}<h2>{{t "settings"}}</h2><table>{{range .Settings}}<tr><td>{{in .Label}}<br><small>{{.Name}}</small></td><td>{{value .Value}}</td></tr>{{end}}</table>{{end}}
<h2>{{t "cases"}}</h2>{{if .Data.Cases}}<table><tr><th>{{t "what"}}</th><th>{{t "state"}}</th><th>{{t "due"}}</th></tr>
{{range .Data.Cases}}<tr><td>{{kind .Kind}} · {{.Controller}} · {{.Tuple}}<br><small>{{.ID}}</small>{{if .Text}}<pre>{{.Text}}</pre>{{end}}{{if .Answer}}<pre>{{.Answer}}</pre>{{end}}</td><td{{if .Overdue}} class="late"{{end}}>{{case .}}</td><td>{{when .Due}}</td></tr>{{end}}</table>{{else}}<p>{{t "nothing"}}</p>{{end}}
<h2>{{t "accounts"}}</h2><table>{{range .Data.Accounts}}<tr><td>{{in .Name}}<br><small>{{.Contact}}</small></td><td>{{account .State}}</td><td>{{when .Since}}</td></tr>{{end}}</table>
<h2>{{t "clients"}}</h2><p>{{len .Data.Clients}} · {{t "uses"}} {{len .Data.Uses}}</p>
<h2>{{t "sent"}}</h2>{{range .Data.Sent}}<p><small>{{when .Time}} · {{.Tuple}} · {{.Method}} {{.Path}} · SHA-256 {{.SHA256}}</small></p>{{if .Content}}<pre>{{pretty .Content}}</pre>{{end}}{{else}}<p>{{t "nothing"}}</p>{{end}}
<h2>{{t "receipts"}}</h2>{{range .Data.Receipts}}<pre>{{.Note}}</pre>{{else}}<p>{{t "nothing"}}</p>{{end}}
<h2>{{t "ledger"}}</h2>{{range .Data.Ledger}}<pre>{{pretty .}}</pre>{{else}}<p>{{t "nothing"}}</p>{{end}}
</body></html>
`

var exportWords = map[string]T{
	"title": {"Your data", "您的信息"}, "policy": {"policy", "政策"},
	"intro":   {"Everything that lies on this device and that the receivers hold about you, at the time above. Keep this file where only you can read it.", "以上时间本机以及各接收端持有的关于您的全部内容。请妥善保存此文件，避免他人读取。"},
	"missing": {"Could not be had:", "未能取得："}, "consents": {"What you agreed to", "您同意的内容"}, "what": {"what", "内容"}, "state": {"state", "状态"},
	"since": {"since", "起始"}, "held": {"What is held", "持有的内容"}, "waiting": {"On this device, waiting to be sent:", "在本机等待发送："},
	"remote": {"At the receiver:", "接收端："}, "silent": {"The receiver did not say:", "接收端没有答复："}, "nothing": {"Nothing.", "无。"},
	"settings": {"Privacy settings", "隐私设置"}, "cases": {"What you asked for", "您提出的请求"}, "due": {"due", "期限"}, "accounts": {"Accounts", "账号"},
	"clients": {"Registered applications", "已登记的应用"}, "uses": {"times they were told a location:", "获知位置的次数："}, "sent": {"What was sent", "已发送的内容"},
	"receipts": {"Receipts of the controllers", "控制者的回执"}, "ledger": {"What you were asked and answered", "您被询问和作答的记录"},
}

// pageOf fills a page. words are its texts by name.
func (a *app) pageOf(text string, words map[string]T, data any) ([]byte, error) {
	page, err := template.New("page").Funcs(template.FuncMap{
		"t":       func(name string) string { return a.t(words[name]) },
		"in":      func(t control.Text) string { return t.In(a.lang) },
		"when":    func(t time.Time) string { return when(t) },
		"status":  a.status,
		"kind":    func(s string) string { return a.word(caseKinds, s) },
		"case":    a.caseState,
		"account": func(s string) string { return a.word(accountStates, s) },
		"value":   func(v any) string { return fmt.Sprint(v) },
		"pretty": func(b json.RawMessage) string {
			var out bytes.Buffer
			if json.Indent(&out, b, "", "  ") != nil {
				return string(b)
			}
			return out.String()
		},
		"join": strings.Join,
	}).Parse(text)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	err = page.Execute(&out, struct {
		Lang string
		Data any
	}{a.lang, data})
	return out.Bytes(), err
}

func (a *app) exportPage(data control.Export) ([]byte, error) {
	return a.pageOf(exportTemplate, exportWords, data)
}

var rightsTemplate = pageHead + `<h1>{{t "title"}}</h1>
{{range .Data}}<h2>{{in .Name}}</h2><p>{{in .Does}} <small>({{t "clause"}} {{.Clause}})</small></p>
<pre>{{join .Commands "\n"}}</pre><p><small>{{t "covers"}} {{join .Covers ", "}}</small></p>
{{range .Contacts}}<p>{{in .Name}}: {{.Contact}}</p>{{end}}{{end}}
</body></html>
`

func (a *app) rightsPage(list []control.Right) error {
	page, err := a.pageOf(rightsTemplate, map[string]T{"title": {"Your rights", "您的权利"}, "clause": {"clause", "条款"}, "covers": {"covers:", "涵盖："}}, list)
	if err != nil {
		return err
	}
	_, err = a.Stdout.Write(page)
	return err
}
