package cli

import (
	"cmp"
	"slices"
	"strings"

	"github.com/scruple-agent/scruple/agent/policy"
	"github.com/scruple-agent/scruple/sensors"
	"github.com/scruple-agent/scruple/sensors/accel"
	"github.com/scruple-agent/scruple/sensors/contacts/carddav"
	"github.com/scruple-agent/scruple/sensors/contacts/evolution"
	"github.com/scruple-agent/scruple/sensors/location"
	"github.com/scruple-agent/scruple/sensors/steps"
)

// troubleWords are the parts of what the daemon says is wrong with a source, and the Chinese for them.
var troubleWords = [][2]string{
	{" is " + sensors.ErrAbsent.Error(), "不存在"},
	{sensors.ErrBusy.Error(), "正被其他程序占用"},
	{sensors.ErrDenied.Error(), "本进程无权打开"},
	{sensors.ErrMute.Error(), "没有应答"},
	{accel.ErrImplausible.Error(), "加速度计给出不可信的数值"},
	{steps.ErrDisabled.Error(), "计步器已关闭"},

	{location.ErrProtocol.Error(), "位置来源发送的内容无法理解"},
	{location.ErrSilent.Error(), "位置来源没有应答"},
	{"an endless line", "一行没有结尾"},
	{"GeoClue refuses to tell positions", "GeoClue 拒绝提供位置"},
	{"serial receiver", "串口接收机"},
	{"a serial receiver", "串口接收机"},
	{"a source of positions", "位置来源"},
	{"an exact source in GeoClue", "GeoClue 中的精确来源"},
	{"the system bus", "系统总线"},
	{"the other end", "对端"},
	{" (it closed the connection)", "（连接已被其关闭）"},
	{" (it went away)", "（已退出）"},
	{"a gpsd", "gpsd "},

	{carddav.ErrPassword.Error(), "CardDAV：密码文件无法使用"},
	{carddav.ErrCA.Error(), "CardDAV：证书颁发机构文件无法使用"},
	{carddav.ErrAddress.Error(), "CardDAV：地址不是 https（或本机的 http），或其中含有密码"},
	{carddav.ErrCertificate.Error(), "CardDAV：服务器的证书不受信任"},
	{carddav.ErrRefused.Error(), "CardDAV：服务器拒绝该用户名或密码"},
	{carddav.ErrRedirect.Error(), "CardDAV：服务器重定向到其他主机，或循环重定向"},
	{carddav.ErrTimeout.Error(), "CardDAV：服务器未及时应答"},
	{carddav.ErrUnreachable.Error(), "CardDAV：无法连接服务器"},
	{carddav.ErrStatus.Error(), "CardDAV：服务器返回错误"},
	{carddav.ErrGarbage.Error(), "CardDAV：服务器发送的内容与请求不符"},
	{carddav.ErrTooLarge.Error(), "CardDAV：服务器发送的内容超过通讯录应有的大小"},
	{carddav.ErrNoBook.Error(), "CardDAV：此地址没有通讯录"},

	{evolution.ErrWAL.Error(), "Evolution：通讯录处于预写日志模式，日志中的内容会缺失，故不读取"},
	{evolution.ErrJournal.Error(), "Evolution：通讯录有未完成的更改，请启动一次 Evolution"},
	{evolution.ErrBusy.Error(), "Evolution：通讯录正被其他程序写入"},
	{evolution.ErrNoBook.Error(), "Evolution：不是 Evolution 的通讯录"},
	{evolution.ErrDamaged.Error(), "Evolution：通讯录已损坏"},
	{evolution.ErrTooLarge.Error(), "Evolution：文件超过通讯录应有的大小"},

	{"the address book of Evolution", "Evolution 的通讯录"},
	{"the address book", "通讯录"},
	{"an accelerometer", "加速度计"},
	{"a step counter", "计步器"},
	{"the IIO tree", "IIO 设备目录"},
	{"an IIO device", "IIO 设备"},
	{"the device file", "设备文件"},

	{"read contacts: ", ""},
	{"open contacts: ", ""},
	{"open location: ", ""},
	{"open accelerometer: ", ""},
	{"read accelerometer: ", ""},
	{"open step counter: ", ""},
	{"read step counter: ", ""},
	{"count steps from the accelerometer: ", "用加速度计计步："},
}

// inChinese replaces the longest part that fits, from the left.
var inChinese = func() *strings.Replacer {
	words := slices.SortedFunc(slices.Values(troubleWords), func(a, b [2]string) int { return cmp.Compare(len(b[0]), len(a[0])) })
	var pairs []string
	for _, w := range words {
		pairs = append(pairs, w[0], w[1])
	}
	return strings.NewReplacer(pairs...)
}()

// trouble says what is wrong with a source in the person's language. What is not known here stays as the daemon says it.
func (a *app) trouble(text string) string {
	if a.lang != string(policy.LangZH) {
		return text
	}
	return strings.ReplaceAll(inChinese.Replace(text), ": ", "：")
}
