package conformance

// clauses is the guideline with what keeps it, in its own order. Enforced and Missing say what the product does today:
// whoever adds to it changes them and adds the test. No text here makes a row read "kept"; only tests do.
var clauses = []Clause{
	{
		ID:      "i",
		Promise: Text{"each kind of data is listed with its purpose, its reason and how it is collected", "逐项列明收集的每一类信息及其用途、理由和收集方式"},
		Enforced: Text{
			"the policy is data, and one that leaves something out is refused with the place; what it does not declare is neither collected nor stored nor sent: an unknown category is refused, an undeclared field is dropped here and refused by name at the receiver (agent/policy, agent/minimise, uploader/receiver)",
			"政策即数据，内容不全的政策会被拒绝并指明位置；未声明的内容不收集、不保存、不发送：未知的类别会被拒绝，未声明的字段在本机被丢弃，接收端则拒绝并指明其名称（agent/policy、agent/minimise、uploader/receiver）",
		},
	},
	{
		ID:      "ii",
		Promise: Text{"sensitive data only after consent; refusing one kind switches off only its feature", "敏感信息须经同意方可收集；拒绝某一类只影响相应功能"},
		Enforced: Text{
			"one consent for each category and purpose, given by the person to the notice that was shown; every reader needs a Permit that only the consent register makes (agent/consent)",
			"每个类别和用途各有一项同意，由本人针对所展示的告知作出；每个读取者都需要只有同意登记簿才能签发的许可（agent/consent）",
		},
	},
	{
		ID: "iii", With: "5", Promise: shared,
		Enforced: oneController,
	},
	{
		ID: "5", With: "iii", Promise: shared,
		Enforced: oneController,
	},
	{
		ID:      "iv",
		Promise: Text{"nothing is taken from third parties unless source, kind and scope are shown and consent given", "未展示来源、类型和范围并取得同意，不从第三方获取信息"},
		Enforced: Text{
			"a category that comes from a third party names it in the policy, and so in the notice that is agreed to, alone; what is submitted has to say that very origin, which stays with it (agent/policy, agent)",
			"来自第三方的类别须在政策中、并因此在单独征求同意的告知中指明该第三方；提交的内容须写明同一来源，并随数据保存（agent/policy、agent）",
		},
	},
	{
		ID:      "1.1",
		Promise: Text{"registration: nickname, avatar and phone number; sex, region and voiceprint are optional", "注册：昵称、头像和手机号码；性别、地区和声纹为选填"},
		Enforced: Text{
			"the application submits records of declared fields; a required one that is missing, an undeclared one and one of another type are refused by name; what is optional is another consent, and the voiceprint a third (agent/items, agent)",
			"应用提交已声明字段的记录；缺少必填字段、未声明字段或类型不符均被拒绝并指明字段名；选填内容另行同意，声纹再另行同意（agent/items、agent）",
		},
	},
	{
		ID:      "1.2",
		Promise: Text{"device model, system, address of the connection, software version, type of network, accelerometer data, operation logs: each can be refused", "设备型号、操作系统、登录地址、软件版本、网络类型、加速度数据和操作日志：每一项均可拒绝"},
		Enforced: Text{
			"each is a consent of its own; the minimisers keep the kind of device and the share of time in motion, and no identifier of the hardware; of operation logs only randomised answers about declared counts leave; the address is in no record (agent/minimise, agent, uploader/receiver)",
			"每一项各有同意；最小化只保留设备类型和移动时间比例，不含任何硬件标识；操作日志只以关于所声明次数的随机化答案发出；连接地址不作记录（agent/minimise、agent、uploader/receiver）",
		},
	},
	{
		ID:      "1.3",
		Promise: Text{"posts, comments and likes are stored encrypted on the server and can be deleted at any time", "朋友圈内容、评论和点赞在服务器加密保存，可随时删除"},
		Enforced: Text{
			"posts are sealed under a key of their consent on the device and at the receiver; one is deleted at both ends without the others, and what of it has not left never does (agent/items, agent/rights, uploader/spool, uploader/receiver)",
			"内容在本机和接收端均以其同意对应的密钥加密；可在两端单独删除一条，尚未发出的部分不会再发出（agent/items、agent/rights、uploader/spool、uploader/receiver）",
		},
	},
	{
		ID:      "1.4",
		Promise: Text{"small third-party programs in the service learn nothing without permission", "未经许可，小程序等第三方不会获得任何信息"},
		Enforced: Text{
			"a local program is known by its program or account as the kernel tells it, and has no access before the person registers it and lets it use one category for one purpose, until a day; it reaches nothing that another submitted (agent/clients, agent/control/server)",
			"本机程序以内核所示的程序或账户识别；在本人登记并允许其在限期内为某一用途使用某一类别之前没有任何权限；无法触及其他程序提交的内容（agent/clients、agent/control/server）",
		},
	},
	{
		ID:      "1.5",
		Promise: Text{"location only while the feature is used, with consent; it can be switched off and cleared in place", "仅在使用相关功能时并经同意收集位置；可就地关闭并清除"},
		Enforced: Text{
			"the source opens under the permit of a use session, which ends by itself; one purpose a feature; only a grid cell is stored; withdraw --clear erases here and asks the receiver to erase (agent/consent, sensors/location, agent/minimise)",
			"仅在会自行结束的使用会话许可下打开来源；每项功能一个用途；只保存网格编号；withdraw --clear 清除本机数据并要求接收端删除（agent/consent、sensors/location、agent/minimise）",
		},
	},
	{
		ID:      "1.6",
		Promise: Text{"step counts, to compare with friends, with consent", "经同意收集步数，用于与好友比较"},
		Enforced: Text{
			"the counter, or the accelerometer where there is none, is read under a permit; only totals of a day leave, and steps from before the consent are not counted; statistics get a randomised range of a day, under another consent (sensors/steps, agent/minimise)",
			"在许可下读取计步器，没有计步器时读取加速度计；只有当日总数会离开本机，同意之前的步数不计入；统计只得到某日步数的随机化区间，且须另行同意（sensors/steps、agent/minimise）",
		},
	},
	{
		ID:      "1.7",
		Promise: Text{"the address book is irreversibly encrypted and only the result is collected", "通讯录经不可逆加密，只收集加密结果"},
		Enforced: Text{
			"numbers and addresses become keyed digests on the device; no name, number or address is written to disk or sent (agent/minimise, hasher)",
			"号码和地址在本机转换为带密钥的摘要；姓名、号码和地址既不写入磁盘也不发送（agent/minimise、hasher）",
		},
		Missing: Text{"a mode that nobody can reverse: whoever holds the key of this one can", "任何人都无法还原的方式：现有方式的密钥持有者可以还原"},
	},
	{
		ID:      "1.8",
		Promise: Text{"payment data goes to a separate company", "支付信息由独立的公司处理"},
		Enforced: Text{
			"payment is a category with a controller of its own: another endpoint, key, pseudonym, queue and connection; nothing of one is in a batch of the other, and the full card number is dropped before it is stored (agent, agent/minimise, uploader)",
			"支付类别有其独立的控制者：不同的接收端、密钥、化名、队列和连接；双方的数据互不出现在对方的批次中，完整卡号在保存之前即被丢弃（agent、agent/minimise、uploader）",
		},
	},
	{
		ID:      "1.9",
		Promise: Text{"a third-party service may get the location only with explicit consent for that third party", "第三方服务须经针对该第三方的明确同意方可获得位置"},
		Enforced: Text{
			"the location broker tells one registered application, under a consent whose notice names the recipient and the controller, within a use session, an area no finer than the person says; each time is on the disk first and is shown (agent/clients, agent)",
			"位置代理只向一个已登记的应用提供：须有告知中写明接收方和控制者的同意，且在使用会话之内，区域不比本人所定更精细；每次先记录后提供，并可查看（agent/clients、agent）",
		},
	},
	{
		ID:      "2.1",
		Promise: Text{"data collected in China stays in China", "在中国收集的数据保存在中国"},
		Enforced: Text{
			"a category has a region of residency, and a policy that sends it to a controller of another region is refused with the line that does, also when it replaces one that was in force; the controller's own signed word on its region is asked for before the first batch and daily, and what differs stops everything but consent messages (agent/policy, uploader)",
			"每个类别有其所属地区；将其发送至其他地区控制者的政策会被拒绝并指明所在行，更换政策时亦然；首批数据之前及此后每天核对控制者签名声明的所在地区，不符则除同意消息外一律停止发送（agent/policy、uploader）",
		},
	},
	{
		ID:      "2.2",
		Promise: Text{"data is kept no longer than the purpose needs", "信息的保存不超过用途所需的期限"},
		Enforced: Text{
			"the retention of the policy is enforced by the spool, the journal and the items on the device and by the receiver's sweep; what is kept until an event (an item deleted, an account closed) goes with it at both ends; at the end of a service that its controller has announced, everything is withdrawn with a signed erasure (uploader/spool, uploader/journal, agent/items, agent/rights, uploader/receiver, agent/notices)",
			"政策规定的保存期限由本机的待发存储、发送日志、条目和接收端的清理执行；以事件（删除条目、注销账号）为期限的在事件发生时两端一并删除；控制者公告的停止服务之日，一切同意撤回并取得签名的删除确认（uploader/spool、uploader/journal、agent/items、agent/rights、uploader/receiver、agent/notices）",
		},
	},
	{
		ID:      "3",
		Promise: Text{"TLS, anonymisation, restricted and audited access; in a breach the plan starts and the person is told", "传输加密、去标识化、限制并审计访问；发生泄露时启动预案并告知本人"},
		Enforced: Text{
			"TLS 1.3 with pinned keys, a pseudonym and a connection for each purpose; the device records everything that leaves, the receiver every access to what it holds; a signed breach notice is shown and stops what goes to that controller until the person decides (uploader, uploader/journal, uploader/receiver, agent/notices)",
			"TLS 1.3 并固定公钥；每个用途使用各自的化名和连接；本机记录一切发出的内容，接收端记录每次访问；经签名的泄露公告会展示给本人，并在其决定之前停止向该控制者发送（uploader、uploader/journal、uploader/receiver、agent/notices）",
		},
	},
	{
		ID:      "4",
		Promise: Text{"other uses and advertising need a purpose of their own; statistics are never combined with identity", "其他用途和广告须另行声明；统计数据不与身份结合"},
		Enforced: Text{
			"other uses and advertising are purposes of their own, off until asked; counts leave as randomised answers with a weekly budget, one by one at random times, without identifier, consent id or client certificate, and what is stored of them cannot be joined with the rest (agent/minimise, uploader, uploader/receiver)",
			"其他用途和广告是独立的用途，未经询问默认关闭；次数以随机化答案发出，每周有额度，在随机时间逐个发送，不带标识符、同意编号或客户端证书；接收端保存的内容无法与其他数据关联（agent/minimise、uploader、uploader/receiver）",
		},
	},
	{
		ID:      "6.1",
		Promise: Text{"the person can see their data", "可以查看自己的信息"},
		Enforced: Text{
			"data show and data export give what lies here and what every receiver holds, content included, as JSON or as a page; each controller has to answer for it in a case of its own; data explain gives clause, consent and batches (agent, agent/rights, uploader/receiver)",
			"data show 和 data export 给出本机以及每个接收端持有的全部内容（含正文），格式为 JSON 或网页；每个控制者须就此答复一项请求；data explain 说明条款、同意和批次（agent、agent/rights、uploader/receiver）",
		},
	},
	{
		ID:      "6.2",
		Promise: Text{"the person can delete their data", "可以删除自己的信息"},
		Enforced: Text{
			"data erase takes all, a category, an item, a field or a time range out of what lies here and what waits, then asks the receiver until its signed answer is there; fields that the policy declares immutable stay and are named (agent, agent/rights, agent/consent, uploader, uploader/receiver)",
			"data erase 从本机和待发内容中删除全部、某一类、某条、某个项目或某段时间的内容，再反复要求接收端删除，直至收到其签名答复；政策声明不可更改的项目会保留并予以说明（agent、agent/rights、agent/consent、uploader、uploader/receiver）",
		},
	},
	{
		ID:      "6.3",
		Promise: Text{"the person can correct their data", "可以更正自己的信息"},
		Enforced: Text{
			"data correct changes what was entered here, in what waits and at the receiver, which answers with its signature; immutable, undeclared and measured fields are refused with the reason at both ends (agent, agent/rights, uploader/receiver)",
			"data correct 更正本机、待发内容和接收端所存的填写内容，接收端以签名答复；不可更改、未声明和测得的项目在两端均被拒绝并说明理由（agent、agent/rights、uploader/receiver）",
		},
	},
	{
		ID:      "6.4",
		Promise: Text{"the person can withdraw each consent: stop, or clear and stop", "可以撤回每一项同意：停止，或停止并清除"},
		Enforced: Text{
			"withdraw ends the permit, the upload and the key before it answers; the signed message to the controller is repeated until its receipt is there; the receiver refuses late batches (agent/consent, uploader, uploader/receiver)",
			"撤回在答复之前即终止许可、发送和密钥；给控制者的签名消息会重复发送直至收到回执；接收端拒绝迟到的数据（agent/consent、uploader、uploader/receiver）",
		},
	},
	{
		ID:      "6.5",
		Promise: Text{"the person can close the account: data deleted or anonymised", "可以注销账号：信息将被删除或匿名化"},
		Enforced: Text{
			"account close marks the account and files a request for every consent in one write, withdraws and clears all of them, and is done when every signed answer is there; each controller by itself; nothing is agreed to afterwards unless the person reopens it (agent, agent/rights, uploader/receiver)",
			"account close 以一次写入标记账号并为每项同意提出请求，全部撤回并清除，收到全部签名答复后才算完成；每个控制者各自注销；此后除非本人重新开通，不再达成任何同意（agent、agent/rights、uploader/receiver）",
		},
	},
	{ID: "6.6", With: "10", Promise: complaint, Enforced: answered},
	{ID: "10", With: "6.6", Promise: complaint, Enforced: answered},
	{
		ID:      "6.7",
		Promise: Text{"privacy settings: who can add me and how, who sees posts", "隐私设置：谁可以添加我、如何添加、谁可以看到我的内容"},
		Enforced: Text{
			"the settings that the policy declares, with type, choices and protective default, are set with scruple settings, kept as items and told to the controller at once, under a consent (agent, agent/items)",
			"政策声明的设置及其类型、选项和保护性默认值，由 scruple settings 设置，保存于本机并在同意之下立即告知控制者（agent、agent/items）",
		},
	},
	{
		ID:      "7",
		Promise: Text{"a changed guideline is shown, and applies only after “agree”", "指引变更会重新展示，经“同意”后才适用"},
		Enforced: Text{
			"a consent holds for what the policy said: what is not provably narrower stops until it is agreed to, at once in a running agent, and what was stored waits; what is unchanged or narrower goes on; policy diff shows the difference; a signed notice brings the later policy (agent/policy, agent/consent, agent/notices)",
			"同意针对当时的政策内容：不能证明为更严格的变更立即停止，直至重新同意，已保存的数据不会发出；未变更或更严格的部分照常；policy diff 显示差异；新政策随签名公告送达（agent/policy、agent/consent、agent/notices）",
		},
	},
	{
		ID:      "8",
		Promise: Text{"minors need a guardian's written consent", "未成年人须经监护人书面同意"},
		Enforced: Text{
			"an age band is declared, never a date, and whoever has declared none counts as a minor; a minor's guardian accepts the policy and approves each consent with a key that the device does not hold, once and for just this; the receiver can demand the evidence; the guardian sees kinds and amounts, takes back, and is told of breaches (agent/consent, uploader/wire, uploader/receiver)",
			"只声明年龄段，不询问日期，未声明者视为未成年人；监护人用设备上没有的密钥接受政策并逐项批准每项同意，每次批准只用于一件事；接收端可要求出示凭据；监护人可了解种类和数量、撤回同意，并获知数据泄露（agent/consent、uploader/wire、uploader/receiver）",
		},
	},
	{
		ID:      "9",
		Promise: Text{"the specific guideline wins over the general one", "专门指引优先于一般指引"},
		Enforced: Text{
			"a specific policy is laid over a general one and wins value by value; where it is looser a consent to the general one does not cover it; policy show prints what is in force (agent/policy, agent)",
			"专门政策覆盖于一般政策之上，逐项优先；如更宽松，则对一般政策的同意不再适用；policy show 打印现行政策（agent/policy、agent）",
		},
	},
	{
		ID:      "v",
		Promise: Text{"the person can access, correct, delete, withdraw, close the account, complain and set privacy", "可以查看、更正、删除、撤回、注销、投诉和进行隐私设置"},
		Enforced: Text{
			"scruple rights lists each right with its command, what it covers and whom it is addressed to, made of the policy in force (agent, agent/cli)",
			"scruple rights 依现行政策列出各项权利及其命令、涵盖内容和所针对的控制者（agent、agent/cli）",
		},
	},
}

// What stands in two rows.
var (
	shared = Text{
		"nothing is shared with third parties without explicit consent; a new controller keeps the promises or asks again",
		"未经明确同意不与第三方共享；控制者变更时须继续履行承诺或重新征求同意",
	}
	oneController = Text{
		"data leaves only to the controller that the policy names, over TLS that is pinned to it; another recipient is another consent; where a later policy names another controller the consent ends, the old one is told, and the new one learns nothing before it is agreed to (agent/policy, agent/consent, uploader)",
		"数据只发送给政策指明的控制者，且 TLS 固定其公钥；其他接收方须另行同意；政策改换控制者时原同意终止并告知原控制者，新控制者在重新同意之前一无所知（agent/policy、agent/consent、uploader）",
	}
	complaint = Text{"the person can complain and is answered within thirty days", "可以投诉，并在三十天内得到答复"}
	answered  = Text{
		"a complaint is signed with the key that the controller knows already and is sent until its signed receipt is there; thirty days count from that, what is late is marked at both ends, and only the controller's signed answer ends it, also after a withdrawal (agent/rights, uploader, uploader/receiver)",
		"投诉以控制者已知的密钥签名，反复发送直至收到其签名回执；三十天自回执起算，逾期在两端均会标明，只有控制者签名的答复才能结束投诉，撤回同意后亦然（agent/rights、uploader、uploader/receiver）",
	}
)
