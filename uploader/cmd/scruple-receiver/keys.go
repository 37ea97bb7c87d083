package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/scruple-agent/scruple/uploader/receiver"
	"github.com/scruple-agent/scruple/uploader/wire"
)

// epochJSON is an epoch without its key, which no command prints.
type epochJSON struct {
	ID        uint      `json:"id"`
	Mode      string    `json:"mode"`
	Form      uint32    `json:"form"`
	NotBefore time.Time `json:"notBefore"`
	NotAfter  time.Time `json:"notAfter"`
}

func (a *app) epochCommand() *cobra.Command {
	say := a.say
	c := &cobra.Command{
		Use:     "epoch",
		Short:   say("Show the epoch of the contact digests, never its key", "显示通讯录摘要所用的密钥期（不显示密钥）"),
		Example: "  scruple-receiver epoch --dir ./receiver\n  scruple-receiver epoch rotate --dir ./receiver",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.epoch(cmd.Context(), (*receiver.Store).Epoch)
		},
	}
	c.AddCommand(&cobra.Command{
		Use:   "rotate",
		Short: say("Begin a new epoch: registered users must be added again, address books sent again", "启用新密钥期：须重新登记用户，通讯录也要重新发送"),
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.epoch(cmd.Context(), (*receiver.Store).Rotate)
		},
	})
	return c
}

func (a *app) epoch(ctx context.Context, get func(*receiver.Store, context.Context, time.Time) (wire.Epoch, error)) error {
	return a.with(func(s *receiver.Store) error {
		e, err := get(s, ctx, time.Now())
		if err != nil {
			return err
		}
		clear(e.Key)
		j := epochJSON{e.ID, e.Mode, e.Form, time.Unix(e.NotBefore, 0).UTC(), time.Unix(e.NotAfter, 0).UTC()}
		if a.json {
			return a.writeJSON(j)
		}
		_, err = fmt.Fprintf(a.out, a.say("epoch %d, mode %s, form %d, from %s until %s\n", "第 %d 期，方式 %s，写法版本 %d，自 %s 至 %s\n"),
			j.ID, j.Mode, j.Form, j.NotBefore.Format(time.RFC3339), j.NotAfter.Format(time.RFC3339))
		return err
	})
}

func (a *app) keygenCommand() *cobra.Command {
	say := a.say
	var name string
	c := &cobra.Command{
		Use:   "keygen",
		Short: say("Make the controller's key and print its public half for the policy", "生成控制者密钥，并输出要写入政策的公钥"),
		Long: say("Makes the controller's key, which signs receipts, in controller.key of the folder, and prints the public half for the policy.\nA key that is there is not replaced.",
			"在目录的 controller.key 中生成用于签署回执的控制者密钥，并输出要写入政策的公钥。不会覆盖已有的密钥。"),
		Example: "  scruple-receiver keygen --dir /var/lib/scruple-receiver --name messenger.example.com",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if err := a.needDir(); err != nil {
				return err
			}
			if err := os.MkdirAll(a.dir, 0o700); err != nil {
				return err
			}
			verifier, err := receiver.NewNoteKey(filepath.Join(a.dir, receiver.ControllerKey), name)
			if errors.Is(err, os.ErrExist) {
				return failed(fmt.Errorf("%s: %s", filepath.Join(a.dir, receiver.ControllerKey), say("there is a key already", "已有密钥")),
					say("a new key needs a new policy; move the old one away first", "新密钥需要新政策；请先移走旧密钥"))
			} else if err != nil {
				return err
			}
			if a.json {
				return a.writeJSON(map[string]string{"key": verifier})
			}
			_, err = fmt.Fprintln(a.out, verifier)
			return err
		},
	}
	c.Flags().StringVar(&name, "name", "controller", say("name in signatures, by convention a domain", "签名中的名称，通常为域名"))
	return c
}
