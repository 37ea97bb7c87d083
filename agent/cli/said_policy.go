package cli

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/scruple-agent/scruple/agent/policy"
)

// policySayings are what is wrong with a policy.
var policySayings = []saying{
	{"the policy key is not the one that was pinned at the first start: a new key needs a later version of the policy, signed by the old key and the new one", "政策密钥不是首次启动时固定的密钥：更换密钥须有以新旧两个密钥签署的较新版本"},
	{"the policy is older than the one that was in force: put the later version back", "政策比曾经生效的版本旧，请恢复较新的版本"},
	{"the policy has changed without a later version: put the former text back, or have it signed as a later version", "政策内容已变更而版本号未提高：请恢复原文，或将其作为较新版本签署"},
	{"a document of the policy that was in force is missing: put it back, or a later version of it", "缺少曾经生效的一份政策文件：请恢复该文件或其较新版本"},
	{"not a later version of a document in force", "不是现行政策文件的较新版本"},
	{"policy is not signed by the pinned key", "政策不是由所固定的密钥签名"},
	{"policy signature does not verify", "政策的签名无效"},
	{"not a note key", "不是签名密钥"},
	{"version %d after %d", "第 %d 版，此前为第 %d 版"},
	{"version %d", "第 %d 版"},
	{"it has another id", "其编号不同"},

	{"larger than %d bytes", "超过 %d 字节"},
	{"not UTF-8", "不是 UTF-8"},
	{"not well-formed YAML", "不是合法的 YAML"},
	{"more than one YAML document", "含有多个 YAML 文档"},
	{"YAML alias: write the value out", "YAML 别名：请直接写出值"},
	{"YAML anchor: write the value out", "YAML 锚点：请直接写出值"},
	{"YAML tag", "YAML 标签"},
	{"YAML merge key: write the keys out", "YAML 合并键：请直接写出各键"},
	{"must be a mapping", "须为键值映射"},
	{"a key must be a word", "键须为一个词"},
	{"a secret does not belong in a policy", "政策中不应有秘密"},
	{"unknown key", "未知的键"},
	{"duplicate", "重复"},
	{"duplicate key", "重复的键"},
	{"duplicate id", "重复的编号"},
	{"duplicate key, first on line %d", "重复的键，首次出现于第 %d 行"},
	{"duplicate id, first on line %d", "重复的编号，首次出现于第 %d 行"},
	{"missing", "缺少"},
	{"empty", "为空"},
	{"missing: a category without a purpose cannot be collected", "缺少：没有用途的类别不能收集"},
	{"missing: a sensitive category needs it (PIPL Art. 30)", "缺少：敏感类别须写明（个人信息保护法第三十条）"},
	{"missing: retention must end", "缺少：保存期限必须有终点"},
	{"must have either for or until: retention must end", "须写明 for 或 until 之一：保存期限必须有终点"},
	{"must be a single value", "须为单个值"},
	{"longer than %d characters", "超过 %d 个字符"},
	{"control or invisible characters: write it on one line", "含有控制字符或不可见字符：请写在一行内"},
	{"must be a text: quote it", "须为文本，请加引号"},
	{"must be lower-case letters, digits and hyphens, at most %d, starting with a letter", "须由小写字母、数字和连字符组成，最多 %d 个，以字母开头"},
	{"must be one of: %s", "须为以下之一：%s"},
	{"must be an integer from %d to %d", "须为 %d 至 %d 的整数"},
	{"must be true or false", "须为 true 或 false"},
	{"must be a duration such as 30d, 36h or 10m", "须为时长，如 30d、36h 或 10m"},
	{"must be a duration such as 30d or 12h; endless retention cannot be declared", "须为时长，如 30d 或 12h；不能声明无限期保存"},
	{"must be a duration from 1m to %s; endless retention cannot be declared", "须为 1m 至 %s 的时长；不能声明无限期保存"},
	{"must be a duration from %s to %s", "须为 %s 至 %s 的时长"},
	{"must be a list", "须为列表"},
	{"more than %d elements", "超过 %d 项"},
	{"must not be empty", "不能为空"},
	{"must be a date such as 2026-01-31", "须为日期，如 2026-01-31"},
	{"an e-mail address or an https address", "电子邮件地址或 https 网址"},
	{"an ISO 3166-1 alpha-2 code", "ISO 3166-1 两字母代码"},
	{"a clause of the guideline", "指引的条款编号"},
	{"a fideslang data category", "fideslang 数据类别"},
	{"a fideslang data use", "fideslang 数据用途"},
	{"a DPV term such as pd:Location, or one of ours (scruple:...)", "DPV 术语（如 pd:Location）或本项目的术语（scruple:...）"},
	{"a DPV purpose such as dpv:ServiceProvision, or one of ours (scruple:...)", "DPV 用途（如 dpv:ServiceProvision）或本项目的术语（scruple:...）"},
	{"only a field of type choice has choices", "只有 choice 类型的项目有选项"},
	{"only the rules round and truncate have a limit", "只有 round 和 truncate 规则有 limit"},
	{"only background collection has a schedule", "只有后台收集有周期"},
	{"only collection in a session has a longest session", "只有会话收集有最长时间"},
	{"not a parameter of this minimiser", "不是此最小化方式的参数"},
	{"less than the epsilon of one answer", "小于一个答案的 epsilon"},
	{"must be a power of two", "须为二的幂"},
	{"must be at most %d different integers, from 1", "最多 %d 个不同的整数，从 1 起"},
	{"must be a number from %s to %s with at most two decimal places", "须为 %s 至 %s 的数，最多两位小数"},
	{"must be https://HOST or https://HOST:PORT and nothing more", "只能是 https://主机 或 https://主机:端口"},
	{"not a note verifier key of an Ed25519 key", "不是 Ed25519 密钥的签名验证公钥"},
	{"must be \"sha256/\" and the base64 of 32 bytes", "须为 \"sha256/\" 加 32 字节的 base64"},
	{"the source has no such field", "来源没有这个项目"},
	{"must be %s: that is what the source gives", "须为 %s：来源给出的就是它"},
	{"must be %s", "须为 %s"},
	{"only an integer can be rounded", "只有整数可以取整"},
	{"only a text can be truncated", "只有文本可以截断"},
	{"only a text can be replaced by its digest", "只有文本可以替换为摘要"},
	{"only what an application submits has rules for its fields", "只有应用提交的内容可为项目规定规则"},
	{"nothing that is read from a device can be required for an account", "从设备读取的内容不能作为账号的必填项"},
	{"does not fit the type of the field", "与项目的类型不符"},
	{"no purpose uses this field", "没有用途使用此项目"},
	{"no such feature is declared", "没有声明此功能"},
	{"no such controller is declared", "没有声明此控制者"},
	{"this controller stores in another region than the category's residency", "此控制者的存储地区与类别的所属地区不同"},
	{"no such field is declared in this category", "此类别没有声明该项目"},
	{"must be true: a sensitive category needs a separate consent (PIPL Art. 29)", "须为 true：敏感类别须取得单独同意（个人信息保护法第二十九条）"},
	{"must be true: a further recipient needs a separate consent (PIPL Art. 23)", "须为 true：向其他接收方提供须取得单独同意（个人信息保护法第二十三条）"},
	{"must be true: data from a third party needs a separate consent", "须为 true：来自第三方的数据须取得单独同意"},
	{"only what an application submits for an account can rest on a contract", "只有应用为账号提交的内容可以合同为依据"},
	{"only an address of a connection is kept until that is closed", "只有连接地址可以保存至连接关闭"},
	{"not possible for this source", "不适用于此来源"},
	{"nothing is read from this source, so nothing is minimised", "不从此来源读取，因此没有可最小化的内容"},
	{"does not fit the source", "与来源不符"},
	{"only counts and buckets may go through the analytics lane", "只有次数和区间可以通过统计通道"},
	{"buckets go through the analytics lane only", "区间只能通过统计通道"},
	{"on the analytics lane counts need ranges, epsilon, budget and delay", "统计通道的次数须写明 ranges、epsilon、budget 和 delay"},
	{"only what goes through the analytics lane is exchanged at random", "只有通过统计通道的内容才随机替换"},
	{"longer than the retention on the device", "超过本机的保存期限"},
	{"must be a duration: what carries no identifier cannot be found again at an event", "须为时长：不带标识符的内容无法在事件发生时找到"},
	{"statistics are not taken in a use session: its time would tell", "使用会话中不作统计：其时间会泄露信息"},
	{"what goes through the analytics lane goes to the controller alone", "通过统计通道的内容只能给控制者"},
	{"counts need fields of type integer", "次数须为整数类型的项目"},
	{"names another policy than the one that it is laid over", "所写的不是其所叠加的政策"},
	{"needs an id of its own", "须有自己的编号"},
	{"no policy", "没有政策"},
	{"this document is among the layers already", "此文件已在各层之中"},
	{"is laid over another policy, which comes first", "它叠加于另一政策之上，后者须排在前面"},
	{"does not say which policy and version it is", "没有写明是哪份政策的哪个版本"},
	{"not a decimal number with at most two places", "不是最多两位小数的数"},
	{"not a duration", "不是时长"},
	{"not the terms of a consent", "不是同意的条款"},
	{"sign policy: the text holds control characters such as tabs", "签署政策：文本含有制表符等控制字符"},
}

// faults says what is wrong with a policy, one fault a line.
func (a *app) faults(list policy.Faults) string {
	lines := make([]string, len(list))
	for i, f := range list {
		if zh := a.named(f.Problem); zh != f.Problem {
			place := f.File
			if f.Line > 0 {
				place += fmt.Sprintf(":%d", f.Line)
			}
			lines[i] = join("：", place, f.Field, zh)
			continue
		}
		lines[i] = f.Error()
	}
	return strings.Join(lines, "\n")
}

// fieldWords are what the values of a policy are called, by their names in the terms of a consent. With a dot at its end, a name is
// that of a text in each language.
var fieldWords = map[string]T{
	"policy": {"the policy's id", "政策编号"}, "version": {"version", "版本"}, "effective": {"in force from", "生效日期"},
	"form": {"form of the terms", "条款格式"},

	"name.": {"name", "名称"}, "contact": {"contact", "联系方式"}, "endpoint": {"sent to", "接收端地址"}, "region": {"kept in", "存储地区"},
	"key": {"key", "密钥"}, "pins": {"pinned keys", "固定的公钥"},

	"controller.id": {"controller", "控制者"}, "controller.name.": {"name of the controller", "控制者名称"},
	"controller.endpoint": {"sent to", "接收端地址"}, "controller.region": {"kept in", "存储地区"},

	"category.id": {"category", "类别"}, "category.name.": {"name", "名称"}, "category.description.": {"what is collected", "收集的内容"},
	"category.sensitivity": {"sensitivity", "敏感程度"}, "category.subject": {"whose data", "数据主体"}, "category.origin": {"comes from", "来自"},
	"category.source": {"source", "来源"}, "category.residency": {"has to stay in", "须保存在"},

	"purpose.id": {"purpose", "用途"}, "purpose.clause": {"clause of the guideline", "指引条款"}, "purpose.text.": {"what for", "用途说明"},
	"purpose.necessity.": {"why it is needed", "必要性"}, "purpose.effect.": {"what it means for you", "对您的影响"},
	"purpose.feature": {"feature", "功能"}, "purpose.feature.name.": {"name of the feature", "功能名称"},
	"purpose.recipients": {"further recipients", "其他接收方"}, "purpose.basis": {"rests on", "依据"},
	"purpose.separate": {"asked alone", "单独征求"}, "purpose.lane": {"way out", "发送通道"}, "purpose.data-use": {"kind of use", "使用类型"},
	"purpose.dpv": {"purpose in DPV", "DPV 用途"},

	"collect.mode": {"how it is read", "收集方式"}, "collect.every": {"read at most every", "读取间隔至少"}, "collect.max-session": {"longest session", "会话最长"},

	"minimiser.name": {"made smaller by", "最小化方式"}, "minimiser.level": {"level of the location (higher is finer)", "位置精度级别（越大越精细）"},
	"minimiser.daily-cap": {"at most a day", "每日最多"}, "minimiser.laplace-radius": {"noise in metres", "随机偏移（米）"},
	"minimiser.laplace-draws": {"draws of noise", "随机偏移次数"}, "minimiser.window": {"summed up over", "汇总时段"}, "minimiser.round": {"rounded to", "取整至"},
	"minimiser.buckets": {"ranges", "区间数"}, "minimiser.mode": {"how digests are made", "摘要方式"}, "minimiser.pad-from": {"filled up from", "填充起点"},
	"minimiser.fold-email": {"e-mail addresses folded", "合并电子邮件写法"}, "minimiser.ranges": {"ranges", "区间"},
	"minimiser.epsilon": {"epsilon of an answer", "单个答案的 epsilon"}, "minimiser.budget": {"epsilon a week", "每周 epsilon 额度"},
	"minimiser.delay": {"sent within", "发送延迟"},

	"retention.device": {"kept on the device", "本机保存期限"}, "retention.controller": {"kept at the controller", "接收方保存期限"},
	"quiet": {"not asked again for", "拒绝后不再询问"}, "expiry": {"a consent lasts", "同意有效期"},
	"connection.text.": {"what becomes of your network address", "网络地址的用途"}, "connection.retention": {"network address kept", "网络地址保存期限"},

	"type": {"type", "类型"}, "choices": {"choices", "选项"}, "rule": {"what is left of it", "处理规则"}, "limit": {"limit", "限度"},
	"required": {"required", "必填"}, "immutable": {"cannot be changed", "不可更改"}, "default": {"default", "默认值"},
	"label.": {"name", "名称"}, "fideslang": {"kind of data", "数据类别"}, "dpv": {"kind of data in DPV", "DPV 数据类别"},
}

// fieldName says what a value of a policy is called; its name in the policy stands behind it, for whoever wants to look it up.
func (a *app) fieldName(key string) string {
	field, attribute := "", key
	if rest, ok := strings.CutPrefix(key, "fields."); ok {
		field, attribute, _ = strings.Cut(rest, ".")
	}
	at := strings.LastIndexByte(attribute, '.') + 1
	lang := attribute[at:]
	words, ok := fieldWords[attribute]
	if !ok && (lang == string(policy.LangEN) || lang == string(policy.LangZH)) {
		words, ok = fieldWords[attribute[:at]]
	} else {
		lang = ""
	}
	if !ok {
		return key
	}
	named := a.t(words)
	if field != "" {
		named = fmt.Sprintf(a.t(T{"%s: %s", "%s：%s"}), field, named)
	}
	if lang == "" && !strings.Contains(key, ".") {
		return named // it says no more
	}
	return named + fmt.Sprintf(a.t(T{" (%s)", "（%s）"}), cmp.Or(lang, key))
}
