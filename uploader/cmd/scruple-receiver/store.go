package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"time"

	"github.com/scruple-agent/scruple/uploader/receiver"
)

// open opens the store of a receiver that is there; a mistyped folder does not become a new receiver.
func (a *app) open() (*receiver.Store, error) {
	if err := a.needDir(); err != nil {
		return nil, err
	}
	if _, err := os.Stat(filepath.Join(a.dir, receiver.DatabaseFile)); errors.Is(err, os.ErrNotExist) {
		return nil, failed(fmt.Errorf(a.say("%s: no receiver in this folder", "%s：此目录中没有接收端"), a.dir),
			a.say("start one first: scruple-receiver run --dev --dir ", "请先启动：scruple-receiver run --dev --dir ")+a.dir)
	}
	return receiver.Open(a.dir)
}

func (a *app) needDir() error {
	if a.dir == "" {
		return usage(errors.New(a.say("--dir is needed", "需要 --dir")), a.say("it is the folder of the receiver", "即接收端的目录"))
	}
	return nil
}

// with opens the store for f and closes it.
func (a *app) with(f func(*receiver.Store) error) error {
	s, err := a.open()
	if err != nil {
		return err
	}
	return errors.Join(f(s), s.Close())
}

// accessor is the person at this terminal, for the record of accesses.
func accessor(command string) receiver.Accessor {
	who := "unknown user"
	if u, err := user.Current(); err == nil {
		who = "uid " + u.Uid
	}
	return receiver.Accessor{Who: who, Command: command, Now: time.Now()}
}

func (a *app) writeJSON(v any) error {
	enc := json.NewEncoder(a.out)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}
