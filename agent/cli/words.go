package cli

import (
	"errors"
	"strings"

	"github.com/scruple-agent/scruple/agent/control"
	"github.com/scruple-agent/scruple/agent/settings"
)

// say is what a person is told about a refusal, and what to try.
type say struct{ message, hint T }

// noHint is for refusals after which there is nothing to try.
var noHint = T{" ", " "}

var kindWords = map[control.Kind]say{
	control.KindBadRequest: {
		T{"this cannot be done as it was asked", "无法按此请求执行"},
		T{"--help shows how it is used; should it say otherwise, the daemon is of another version: scruple version, scruple status", "--help 说明用法；若与之不符，则后台服务的版本不同：请查看 scruple version 和 scruple status"},
	},
	control.KindUnknownTuple: {
		T{"the policy has no such category/purpose", "政策中没有这样的“类别/用途”"},
		T{"scruple consent list shows all of them", "scruple consent list 列出全部"},
	},
	control.KindNotFound: {
		T{"there is no such entry", "没有这样的条目"},
		T{"ids are shown by scruple egress list and scruple complaint list --all", "scruple egress list 和 scruple complaint list --all 列出编号"},
	},
	control.KindNotAllowed: {
		T{"this account may not do that", "当前账户无权这样做"},
		T{"run the command as the user whose data it is", "请以数据所属用户的身份运行此命令"},
	},
	control.KindNotPerson: {
		T{"only the person whose data it is can answer", "只有数据主体本人可以作答"},
		T{"answer with scruple consent, as that user", "请以该用户身份使用 scruple consent 作答"},
	},
	control.KindNotShown: {
		T{"the notice has not been shown yet", "尚未展示告知书"},
		T{"read it with scruple consent show CATEGORY/PURPOSE", "请先用 scruple consent show 类别/用途 阅读"},
	},
	control.KindNoticeDiffers: {
		T{"this is not the hash of the notice that was shown", "该哈希值与所展示的告知书不符"},
		T{"read it again with scruple consent show, in the same language (--lang)", "请用 scruple consent show 以同一语言（--lang）重新阅读"},
	},
	control.KindLedger: {
		T{"there is no consent in force for this", "此项没有有效的同意"},
		T{"scruple consent withdraw CATEGORY/PURPOSE tells the controller and begins a new ledger; what you want can be agreed to again then", "scruple consent withdraw 类别/用途 会通知控制者并启用新账本；之后可重新同意所需的各项"},
	},
	control.KindClock: {
		T{"the clock is behind the time already seen, so nothing is collected or sent", "时钟落后于已记录的时间，因此不收集也不发送"},
		T{"set the clock right; withdrawing works all the same. scruple status shows both times", "请校正时钟；撤回不受影响。scruple status 显示两个时间"},
	},
	control.KindNotGiven: {
		T{"there is no consent in force for this", "此项没有有效的同意"},
		T{"scruple consent give CATEGORY/PURPOSE shows the notice and asks", "scruple consent give 类别/用途 会展示告知书并征求您的同意"},
	},
	control.KindGiven: {
		T{"this is agreed to already", "此项已同意"},
		T{"take it back with scruple consent withdraw", "如需收回，请用 scruple consent withdraw"},
	},
	control.KindQuiet: {
		T{"this was refused lately and must not be asked again yet", "此项不久前已被拒绝，暂不得再次询问"},
		T{"the person can still agree at any time: scruple consent give", "本人仍可随时同意：scruple consent give"},
	},
	control.KindNoSession: {
		T{"this is read only within a use session", "此项仅在使用会话中读取"},
		T{"scruple session open CATEGORY/PURPOSE", "scruple session open 类别/用途"},
	},
	control.KindPolicy: {
		T{"the policy does not allow this", "政策不允许这样做"},
		T{"scruple policy show CATEGORY/PURPOSE says what it allows", "scruple policy show 类别/用途 说明允许的内容"},
	},
	control.KindSourceAbsent: {
		T{"this device does not have the source", "本设备没有此数据来源"},
		T{"scruple status says why; paths and addresses are in the settings", "scruple status 说明原因；路径和地址在设置中"},
	},
	control.KindUnreadable: {
		T{"it cannot be read any more: its key was destroyed at withdrawal", "已无法读取：密钥已在撤回同意时销毁"},
		noHint,
	},
	control.KindNothing: {
		T{"there is nothing there", "没有内容"},
		T{"scruple data collect CATEGORY/PURPOSE reads the source now", "scruple data collect 类别/用途 可立即采集"},
	},
	control.KindNoAnnouncement: {
		T{"there is no such announcement, or nothing to decide about it", "没有这则公告，或无需就其作出决定"},
		T{"scruple notices list shows all of them", "scruple notices list 列出全部"},
	},
	control.KindStopped: {
		T{"nothing is sent to this controller, which has announced a breach, until you decide", "该控制者已公告数据泄露，在您作出决定之前不向其发送任何数据"},
		T{"read it with scruple notices show, then scruple notices decide ID --continue or --stop", "请用 scruple notices show 阅读，再用 scruple notices decide 编号 --continue 或 --stop 决定"},
	},
	control.KindGuardian: {
		T{"a guardian has to approve this for a minor", "未成年人进行此操作须经监护人批准"},
		T{"scruple age show says what is declared; scruple guardian request CATEGORY/PURPOSE makes a question for the guardian's device", "scruple age show 显示已声明的年龄段；scruple guardian request 类别/用途 生成交给监护人设备的请求"},
	},
	control.KindApproval: {
		T{"this is not the guardian's answer to an open question of this device", "这不是监护人对本设备未决请求的答复"},
		T{"scruple age show lists the open questions; ask again with scruple guardian request", "scruple age show 列出未决的请求；可用 scruple guardian request 重新请求"},
	},
	control.KindEnrolled: {
		T{"a guardian key is enrolled already", "已登记监护人密钥"},
		T{"only that key makes way for another: scruple guardian request key --new-key KEY", "只有该密钥能批准更换：scruple guardian request key --new-key 密钥"},
	},
	control.KindReceiver: {
		T{"the controller's receiver did not accept it or did not answer", "控制者的接收端未接受或没有回应"},
		T{"nothing is lost: it is tried again by itself; scruple status shows when", "数据没有丢失，会自动重试；scruple status 显示下次时间"},
	},
	control.KindNotEnforced: {
		T{"this kernel does not enforce what the settings demand", "本系统内核无法强制执行设置所要求的限制"},
		T{"scruple status says what is enforced", "scruple status 说明已强制执行的内容"},
	},
	control.KindStopping: {
		T{"the daemon is stopping", "后台服务正在停止"},
		T{"start it again with scruple run", "请用 scruple run 重新启动"},
	},
	control.KindNotRegistered: {
		T{"this application is not registered", "此应用尚未登记"},
		T{"the person registers it: scruple clients register NAME --exe PATH", "由本人登记：scruple clients register 名称 --exe 路径"},
	},
	control.KindNoAccess: {
		T{"this application may not use it", "此应用无权使用此项"},
		T{"the person decides: scruple clients allow NAME CATEGORY/PURPOSE", "由本人决定：scruple clients allow 名称 类别/用途"},
	},
	control.KindImmutable: {
		T{"the policy declares this as immutable", "政策声明此项不可更改或删除"},
		T{"it goes when the account is closed: scruple account close", "它随账号注销而删除：scruple account close"},
	},
	control.KindClosed: {
		T{"you have closed the account at this controller", "您已在该控制者处注销账号"},
		T{"to begin anew: scruple account reopen --controller NAME", "如需重新开始：scruple account reopen --controller 名称"},
	},
	control.KindNoIdentity: {
		T{"no key is left with which the controller knows you", "已没有可供控制者确认您身份的密钥"},
		T{"scruple rights shows the controller's contact address", "scruple rights 显示控制者的联系方式"},
	},
	control.KindSubmission: {
		T{"what was submitted is not what the policy declares", "提交的内容与政策声明不符"},
		T{"scruple policy show CATEGORY/PURPOSE lists the fields", "scruple policy show 类别/用途 列出各字段"},
	},
	control.KindFailed: {
		T{"it failed", "操作失败"},
		noHint,
	},
}

// reasonWords say why a category is not collected.
var reasonWords = map[control.Reason]T{
	control.ReasonNotAsked:      {"never asked", "从未询问"},
	control.ReasonRequested:     {"asked, not answered yet", "已询问，尚未回答"},
	control.ReasonDeferred:      {"to be answered later", "稍后再答"},
	control.ReasonRefused:       {"refused", "已拒绝"},
	control.ReasonWithdrawn:     {"withdrawn", "已撤回"},
	control.ReasonExpired:       {"the consent has expired", "同意已过期"},
	control.ReasonInvalidated:   {"the consent no longer counts", "同意已失效"},
	control.ReasonPolicyChanged: {"the policy has changed: to be asked again", "政策已变更，需重新征求同意"},
	control.ReasonNoSession:     {"read only in a use session, none is open", "仅在使用会话中读取，目前没有会话"},
	control.ReasonSubmitted:     {"nothing is read, the application submits it", "不读取数据，由应用提交"},
	control.ReasonSourceAbsent:  {"this device does not have it", "本设备不具备"},
	control.ReasonSourceError:   {"the source cannot be read", "数据来源无法读取"},
	control.ReasonNoEpoch:       {"waits for the controller's epoch key", "等待控制者的周期密钥"},
	control.ReasonSpoolFull:     {"the store on this device is full", "本机存储已满"},
	control.ReasonClock:         {"the clock is behind: nothing is collected", "时钟落后，暂停收集"},
	control.ReasonNotEnforced:   {"the kernel does not enforce it", "内核未强制执行"},
	control.ReasonGuardian:      {"a guardian has to approve it", "须经监护人批准"},
	control.ReasonStopping:      {"the daemon is stopping", "后台服务正在停止"},
}

// statusWords are the states of a consent.
var statusWords = map[string]T{
	control.StatusNever:       {"never asked", "从未询问"},
	control.StatusRequested:   {"requested", "已请求"},
	control.StatusDeferred:    {"deferred", "稍后决定"},
	control.StatusGiven:       {"given", "已同意"},
	control.StatusRefused:     {"refused", "已拒绝"},
	control.StatusWithdrawn:   {"withdrawn", "已撤回"},
	control.StatusExpired:     {"expired", "已过期"},
	control.StatusInvalidated: {"invalidated", "已失效"},
}

var kernelWords = map[string]T{
	control.KernelEnforced:    {"enforced", "已强制执行"},
	control.KernelPartly:      {"partly enforced", "部分强制执行"},
	control.KernelNotEnforced: {"not enforced", "未强制执行"},
}

// words turns an error into what a person reads, and a hint.
func (a *app) words(err error) (message, hint string) {
	var (
		usage   *usageError
		refused refusal
		faults  settings.Faults
		p       *control.Problem
		h       hinted
	)
	switch {
	case errors.As(err, &usage):
		return usage.message, usage.hint
	case errors.As(err, &refused):
		return refused.message, refused.hint
	case errors.As(err, &faults):
		return faults.Error(), a.t(T{"every key is explained in the comments of scruple.yaml", "每个键的含义见 scruple.yaml 中的注释"})
	case errors.Is(err, control.ErrNotReachable):
		socket := strings.TrimPrefix(err.Error(), control.ErrNotReachable.Error()+": ")
		return a.t(T{"the daemon is not reachable", "无法连接后台服务"}) + ": " + socket,
			a.t(T{"start it with scruple run, or name its socket with --socket or --state-dir", "请用 scruple run 启动，或用 --socket、--state-dir 指明其位置"})
	case errors.As(err, &p):
		return a.problem(p)
	case errors.As(err, &h):
		return h.Error(), h.hint
	}
	return err.Error(), ""
}

// detail says what the daemon adds to a refusal. Where that may begin with a name that the person knows, nothing is left out.
func (a *app) detail(p *control.Problem) string {
	switch p.Kind() {
	case control.KindUnknownTuple:
		return ""
	case control.KindSourceAbsent:
		return a.trouble(p.Detail)
	case control.KindBadRequest, control.KindSubmission, control.KindImmutable:
		return a.named(p.Detail)
	}
	return a.said(p.Detail)
}

func (a *app) problem(p *control.Problem) (message, hint string) {
	s := kindWords[p.Kind()]
	message = a.t(s.message)
	if detail := a.detail(p); detail != "" && detail != message {
		message += a.sep() + strings.TrimPrefix(detail, message+a.sep())
	}
	if p.Tuple != "" {
		message = p.Tuple + a.sep() + message
	}
	if len(p.Near) > 0 {
		return message, a.t(T{"did you mean ", "您是要输入 "}) + strings.Join(p.Near, ", ") + a.t(T{"?", " 吗？"})
	}
	if p.Hint != "" {
		return message, p.Hint
	}
	hint = strings.TrimSpace(a.t(s.hint))
	if p.Tuple != "" {
		hint = strings.NewReplacer("CATEGORY/PURPOSE", p.Tuple, "类别/用途", p.Tuple).Replace(hint)
	}
	return message, hint
}
