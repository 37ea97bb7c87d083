package agent

import (
	"context"
	"slices"
	"strings"

	"github.com/scruple-agent/scruple/agent/consent"
	"github.com/scruple-agent/scruple/agent/control"
	"github.com/scruple-agent/scruple/agent/policy"
	"github.com/scruple-agent/scruple/uploader/journal"
	"github.com/scruple-agent/scruple/uploader/wire"
)

// right is what the index says of one right, before the policy says what it covers.
type right struct {
	id, clause string
	name, does control.Text
	commands   []string
	covers     func(policy.Effective) bool
}

func words(en, zh string) control.Text {
	return control.Text{string(policy.LangEN): en, string(policy.LangZH): zh}
}

func everything(policy.Effective) bool { return true }

// identified reports whether what is sent for a purpose stays known to be the person's.
func identified(e policy.Effective) bool { return e.Purpose.Lane == policy.LaneFeatures }

func submitted(e policy.Effective) bool {
	return e.Purpose.Collect.Mode == policy.ModeSubmitted && identified(e)
}

// rightsIndex is the index in the order of the guideline.
var rightsIndex = []right{
	{
		"access", "6.1", words("see your data", "查看您的信息"),
		words("everything that lies on this device and that every receiver holds, as a page or for a machine; and why it was collected", "本机以及每个接收端持有的全部内容，可读网页或机器可读格式；以及收集的依据"),
		[]string{"scruple data show --remote", "scruple data export --html -o FILE", "scruple data explain CATEGORY/PURPOSE"},
		everything,
	},
	{
		"delete", "6.2", words("delete it", "删除信息"),
		words("all of it, a category, an item or a time range, here and at the receiver; what cannot be deleted is named with the reason", "全部、某一类、某一条或某段时间，本机和接收端一并删除；不可删除的会说明理由"),
		[]string{"scruple data erase --all", "scruple data erase CATEGORY", "scruple data erase CATEGORY/PURPOSE --item ID"},
		identified,
	},
	{
		"correct", "6.3", words("correct it", "更正信息"),
		words("what was entered, field by field, here and at the receiver; fields that are immutable are refused", "逐项更正所填写的内容，本机和接收端一并更正；不可更改的项目会被拒绝"),
		[]string{"scruple data correct CATEGORY/PURPOSE FIELD=VALUE"},
		func(e policy.Effective) bool {
			return submitted(e) && slices.ContainsFunc(e.Fields(), func(f policy.Field) bool { return !f.Immutable })
		},
	},
	{
		"withdraw", "6.4", words("take a consent back", "撤回同意"),
		words("each by itself, at once; stop, or clear and stop", "每一项单独撤回，立即生效；停止，或清除并停止"),
		[]string{"scruple consent withdraw CATEGORY/PURPOSE", "scruple consent withdraw CATEGORY/PURPOSE --clear"},
		func(e policy.Effective) bool { return e.Category.Asked() },
	},
	{
		"close", "6.5", words("close the account", "注销账号"),
		words("at one controller or at all: every consent ends and everything is erased, confirmed by signatures", "在某一控制者处或全部：所有同意终止，全部信息删除，并有签名确认"),
		[]string{"scruple account close", "scruple account close --controller NAME", "scruple account list"},
		identified,
	},
	{
		"complain", "6.6", words("complain", "投诉"),
		words("to the controller, which has thirty days from its signed receipt; identity is the key that it knows already", "向控制者投诉，自其签名回执起三十天内答复；以其已知的密钥确认身份，无需其他资料"),
		[]string{"scruple complaint file TEXT", "scruple complaint list", "scruple complaint show ID"},
		identified,
	},
	{
		"settings", "6.7", words("set your privacy", "隐私设置"),
		words("who can find and add you, and who sees what you post", "谁可以找到和添加您，谁可以看到您的内容"),
		[]string{"scruple settings list", "scruple settings set NAME VALUE"},
		func(e policy.Effective) bool {
			return submitted(e) && slices.ContainsFunc(e.Fields(), func(f policy.Field) bool { return f.Default != "" })
		},
	},
}

// Rights implements server.Backend: of the rights those that apply under the policy in force.
func (a *Agent) Rights(context.Context) ([]control.Right, error) {
	var out []control.Right
	for _, r := range rightsIndex {
		one := control.Right{ID: r.id, Clause: r.clause, Name: r.name, Does: r.does, Commands: r.commands, Covers: []string{}, Contacts: []control.RightContact{}}
		for _, t := range a.Tuples() {
			e, err := a.document().Effective(t.Category, t.Purpose)
			if err != nil || !r.covers(e) {
				continue
			}
			one.Covers = append(one.Covers, t.String())
			if !slices.ContainsFunc(one.Contacts, func(c control.RightContact) bool { return c.Controller == string(t.Controller) }) {
				one.Contacts = append(one.Contacts, contactOf(e.Controller))
			}
		}
		if len(one.Covers) > 0 {
			out = append(out, one)
		}
	}
	return out, nil
}

func contactOf(c *policy.Controller) control.RightContact {
	return control.RightContact{Controller: string(c.ID), Name: text(c.Name), Contact: c.Contact}
}

// ExplainTuple implements server.Backend.
func (a *Agent) ExplainTuple(_ context.Context, t policy.Tuple) (control.Explanation, error) {
	e, err := a.document().Effective(t.Category, t.Purpose)
	if err != nil {
		return control.Explanation{}, err
	}
	out := control.Explanation{
		Tuple: t.String(), Clause: e.Clause(), Category: text(e.Category.Name), Description: text(e.Category.Description), Purpose: text(e.Purpose.Text),
		Policy: a.current.Load().info.PolicyInfo, Controller: contactOf(e.Controller), Status: string(a.register.State(t).Status),
		Consents: []control.ConsentBasis{}, Sent: []control.Egress{},
	}
	records, err := a.register.Records(t.Controller)
	if err != nil {
		return out, problem(t, err)
	}
	at := map[wire.UUID]int{}
	for _, r := range records {
		if r.Erased || r.Tuple() != t {
			continue
		}
		switch r.Event {
		case consent.EventGiven:
			at[r.Consent] = len(out.Consents)
			out.Consents = append(out.Consents, control.ConsentBasis{
				Consent: r.Consent.String(), Given: unixTime(r.Time), Expiry: unixTime(r.Expiry), Channel: r.Actor.Channel,
				Lang: string(r.Notice.Lang), Notice: r.Notice.SHA256.String(), PolicyVersion: int(r.PolicyVersion), Record: r.Seq,
			})
		case consent.EventWithdrawn, consent.EventExpired, consent.EventInvalidated:
			if i, ok := at[r.Consent]; ok && out.Consents[i].Ended.IsZero() {
				out.Consents[i].Ended = unixTime(r.Time)
			}
		}
	}
	entries, err := a.journal.List()
	if err != nil {
		return out, err
	}
	for _, entry := range entries {
		if _, ours := at[entry.Consent]; ours && entry.Lane == journal.LaneB {
			out.Sent = append(out.Sent, a.egress(entry))
		}
	}
	slices.Reverse(out.Consents)
	slices.Reverse(out.Sent)
	return out, nil
}

// ExplainBatch implements server.Backend. id is that of a batch, or of its entry in the egress journal.
func (a *Agent) ExplainBatch(ctx context.Context, id string) (control.Explanation, error) {
	entries, err := a.journal.List()
	if err != nil {
		return control.Explanation{}, err
	}
	slices.Reverse(entries)
	for _, e := range entries {
		if e.Lane != journal.LaneB || e.ID.String() != id && (id == "" || !strings.HasSuffix(e.Path, "/"+id)) {
			continue
		}
		for _, t := range a.Tuples() {
			out, err := a.ExplainTuple(ctx, t)
			if err != nil {
				return out, err
			}
			if !slices.ContainsFunc(out.Consents, func(b control.ConsentBasis) bool { return b.Consent == e.Consent.String() }) {
				continue
			}
			body, err := a.EgressBody(ctx, e.ID.String())
			if err != nil { // what it said is gone; what it was is known
				body = control.EgressBody{Egress: a.egress(e)}
			}
			out.Batch = &body
			return out, nil
		}
	}
	return control.Explanation{}, control.NewProblem(control.KindNotFound, "", "no batch of this id is known here")
}
