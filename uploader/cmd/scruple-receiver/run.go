package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/scruple-agent/scruple/agent/policy"
	"github.com/scruple-agent/scruple/configs"
	"github.com/scruple-agent/scruple/uploader/receiver"
)

// runOptions are the flags of run.
type runOptions struct {
	guardians       bool
	dev             bool
	listen          string
	controller      string
	policy          string
	policyKey       string
	certificate     string
	key             string
	level           string
	layers, earlier []string
}

func (a *app) runCommand() *cobra.Command {
	say := a.say
	var o runOptions
	c := &cobra.Command{
		Use:   "run",
		Short: say("Serve until interrupted", "运行，直到被中断"),
		Long: say(`Serves until interrupted. When ready it writes its address to standard output and to the file "address" of its folder.

With --dev it makes everything a trial needs in its folder: an authority with a server certificate, a controller key, and the
policy rewritten for this address, signed by a trial key (policy.note and policy.key: give these two to the agent).
Without it, the folder holds controller.key (see keygen), and the policy must name that key and pin the certificate.`,
			`运行，直到被中断。就绪后把地址写到标准输出和目录中的 address 文件。

使用 --dev 时，会在目录中准备好试用所需的一切：证书颁发者与服务器证书、控制者密钥，以及改为本机地址并由试用密钥签名的政策
（policy.note 和 policy.key：把这两个文件交给代理程序）。
不使用 --dev 时，目录中须有 controller.key（见 keygen），政策须写明该密钥并固定该证书。`),
		Example: `  scruple-receiver run --dev --dir ./receiver
  scruple-receiver run --dev --dir ./payments --controller payments --policy ./receiver/policy.yaml
  scruple-receiver run --dir /var/lib/scruple-receiver --policy policy.note --policy-key policy.key --controller messenger \
      --listen 0.0.0.0:443 --certificate chain.pem --certificate-key key.pem`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.run(cmd.Context(), o) },
	}
	f := c.Flags()
	f.BoolVar(&o.dev, "dev", false, say("trial on this machine: make certificate, keys and policy", "在本机试用：自动生成证书、密钥和政策"))
	f.StringVar(&o.listen, "listen", "127.0.0.1:0", say("address to listen on; port 0 takes the port of the last time, or a free one", "监听地址；端口为 0 时沿用上次的端口或任取空闲端口"))
	f.StringVar(&o.controller, "controller", "messenger", say("the controller of the policy for which it receives", "政策中的哪个控制者"))
	f.StringVar(&o.policy, "policy", "", say("the policy: a signed note, or with --dev the YAML to start from", "政策文件：已签名；使用 --dev 时为原始 YAML"))
	f.StringArrayVar(&o.layers, "policy-layer", nil, say("a signed policy that is laid over --policy; may be repeated", "叠加在 --policy 之上的已签名政策；可重复"))
	f.StringArrayVar(&o.earlier, "policy-earlier", nil, say("an earlier version of the policy that is still accepted; may be repeated", "仍予接受的较早版本政策；可重复"))
	f.StringVar(&o.policyKey, "policy-key", "", say("file with the policy's verifier key", "存放政策验证公钥的文件"))
	f.BoolVar(&o.guardians, "require-guardian", false, say("the service is for minors: refuse a consent without its guardian's approval", "面向未成年人的服务：拒绝没有监护人批准的同意"))
	f.StringVar(&o.certificate, "certificate", "", say("certificate chain, PEM", "证书链（PEM）"))
	f.StringVar(&o.key, "certificate-key", "", say("private key of the certificate, PEM", "证书的私钥（PEM）"))
	f.StringVar(&o.level, "log-level", "info", say("debug, info, warn or error", "日志级别：debug、info、warn 或 error"))
	return c
}

func (a *app) run(ctx context.Context, o runOptions) error {
	if err := a.needDir(); err != nil {
		return err
	}
	level, err := zapcore.ParseLevel(o.level)
	if err != nil {
		return usage(errors.New(a.say("--log-level is debug, info, warn or error", "--log-level 应为 debug、info、warn 或 error")), "")
	}
	log := zap.New(zapcore.NewCore(zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig()), zapcore.AddSync(a.errs), level))
	if o.dev {
		return a.runDev(ctx, o, log)
	}
	return a.runReal(ctx, o, log)
}

func (a *app) runDev(ctx context.Context, o runOptions, log *zap.Logger) (err error) {
	yaml := configs.PolicyYAML
	if o.policy != "" {
		if yaml, err = os.ReadFile(o.policy); err != nil {
			return err
		}
	}
	d, err := receiver.OpenDev(receiver.DevOptions{
		Dir: a.dir, Policy: yaml, Controller: policy.ControllerID(o.controller), Listen: o.listen,
		Config: receiver.Config{Log: log, Guardians: o.guardians},
	})
	if err != nil {
		return a.explain(err)
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	if err := a.ready(ready{
		Address: d.Address, URL: d.URL, Controller: o.controller,
		Policy: filepath.Join(a.dir, receiver.PolicyNote), PolicyKey: filepath.Join(a.dir, receiver.PolicyKey),
	}); err != nil {
		return err
	}
	return d.Serve(ctx)
}

func (a *app) runReal(ctx context.Context, o runOptions, log *zap.Logger) (err error) {
	if o.policy == "" || o.policyKey == "" || o.certificate == "" || o.key == "" {
		return usage(errors.New(a.say("--policy, --policy-key, --certificate and --certificate-key are needed", "需要 --policy、--policy-key、--certificate 和 --certificate-key")),
			a.say("for a trial on this machine use --dev", "在本机试用请加 --dev"))
	}
	doc, err := loadPolicy(o)
	if err != nil {
		return a.explain(err)
	}
	ctrl, err := doc.Controller(policy.ControllerID(o.controller))
	if err != nil {
		return a.explain(err)
	}
	cert, err := tls.LoadX509KeyPair(o.certificate, o.key)
	if err != nil {
		return fmt.Errorf("%s: %w", o.certificate, err)
	}
	if err := pinned(cert, ctrl, time.Now()); err != nil {
		return refused(err, a.say("agents would refuse this certificate: put its pin into the policy, or use the one that is pinned",
			"代理程序会拒绝此证书：请把它的指纹写入政策，或改用已固定的证书"))
	}
	signer, _, err := receiver.ReadNoteKey(filepath.Join(a.dir, receiver.ControllerKey))
	if err != nil {
		return failed(err, a.say("make one: scruple-receiver keygen --dir ", "可生成一个：scruple-receiver keygen --dir ")+a.dir)
	}
	store, err := receiver.Open(a.dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	earlier, err := loadEarlier(o)
	if err != nil {
		return a.explain(err)
	}
	rv, err := receiver.New(receiver.Config{Policy: doc, Earlier: earlier, Controller: ctrl.ID, Store: store, Signer: signer, Log: log, Guardians: o.guardians})
	if err != nil {
		return refused(err, a.say("the policy must hold the verifier key that keygen printed", "政策中须写入 keygen 输出的公钥"))
	}
	ln, err := net.Listen("tcp", o.listen)
	if err != nil {
		return err
	}
	address := ln.Addr().String()
	if err := errors.Join(os.WriteFile(filepath.Join(a.dir, receiver.AddressFile), []byte(address+"\n"), 0o644),
		a.ready(ready{Address: address, URL: ctrl.Endpoint, Controller: o.controller, Policy: o.policy, PolicyKey: o.policyKey})); err != nil {
		return errors.Join(err, ln.Close())
	}
	return rv.Serve(ctx, ln, receiver.TLSConfig(cert))
}

func loadPolicy(o runOptions) (*policy.Document, error) {
	return loadFiles(append([]string{o.policy}, o.layers...), o.policyKey)
}

// loadEarlier reads the earlier versions that are still accepted. One that was laid over another is given as it was printed
// (scruple policy show --effective) and signed.
func loadEarlier(o runOptions) ([]*policy.Document, error) {
	var list []*policy.Document
	for _, file := range o.earlier {
		d, err := loadFiles([]string{file}, o.policyKey)
		if err != nil {
			return nil, err
		}
		list = append(list, d)
	}
	return list, nil
}

func loadFiles(names []string, keyFile string) (*policy.Document, error) {
	key, err := os.ReadFile(keyFile)
	if err != nil {
		return nil, err
	}
	var files []policy.File
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		files = append(files, policy.File{Name: name, Data: data})
	}
	l, err := policy.LoadAll(files, policy.LoadOptions{Key: strings.TrimSpace(string(key))})
	return l.Document, err
}

// pinned checks a certificate as an agent will.
func pinned(cert tls.Certificate, ctrl *policy.Controller, now time.Time) error {
	found := false
	for _, der := range cert.Certificate {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return fmt.Errorf("certificate: %w", err)
		}
		found = found || slices.Contains(ctrl.Pins, receiver.Pin(c))
	}
	if !found {
		return errors.New("certificate: the policy pins none of its chain's keys")
	}
	if now.After(cert.Leaf.NotAfter) || now.Before(cert.Leaf.NotBefore) {
		return errors.New("certificate: not valid at this time")
	}
	endpoint, err := url.Parse(ctrl.Endpoint)
	if err != nil {
		return errors.New("policy: endpoint is not a URL")
	}
	if cert.Leaf.VerifyHostname(endpoint.Hostname()) != nil {
		return errors.New("certificate: not for the host of the policy's endpoint")
	}
	return nil
}

// ready is what is written when the receiver answers.
type ready struct {
	Address    string `json:"address"`
	URL        string `json:"url"`
	Controller string `json:"controller"`
	Policy     string `json:"policy"`
	PolicyKey  string `json:"policyKey"`
}

func (a *app) ready(r ready) error {
	if a.json {
		return json.NewEncoder(a.out).Encode(r)
	}
	if _, err := fmt.Fprintln(a.out, r.Address); err != nil {
		return err
	}
	_, err := fmt.Fprintf(a.errs, a.say("receiving for %s at %s; the agent needs %s and %s\n", "正在为 %s 接收，地址 %s；代理程序需要 %s 和 %s\n"),
		r.Controller, r.URL, r.Policy, r.PolicyKey)
	return err
}

// explain gives a fault of the policy its exit code.
func (a *app) explain(err error) error {
	var faults policy.Faults
	switch {
	case errors.As(err, &faults):
		return refused(err, a.say("correct the policy; scruple policy check says the same", "请改正政策；scruple policy check 会给出同样的说明"))
	case errors.Is(err, policy.ErrUndeclared):
		return refused(err, a.say("--controller must name a controller of the policy", "--controller 须是政策中的控制者"))
	case errors.Is(err, policy.ErrSignature), errors.Is(err, policy.ErrUnsigned), errors.Is(err, policy.ErrKey):
		return refused(err, a.say("--policy and --policy-key must belong together", "--policy 与 --policy-key 须相配"))
	}
	return err
}
