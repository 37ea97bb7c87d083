//go:build unix

package agent_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestClause_v_AWalkThroughTheRights runs the session of the README as it stands there, in both languages: what a person types under
// guideline 6.1 to 6.7, against two receivers.
func TestClause_v_AWalkThroughTheRights(t *testing.T) {
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("MISSING: bash")
	}
	programs := t.TempDir()
	if out, err := exec.Command("go", "build", "-o", programs+"/", "./cmd/scruple", "../uploader/cmd/scruple-receiver").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	for file, want := range map[string][]string{
		"../README.md": {
			"see your data", "at the receiver: [", "clause 1.3", "exit code 3", "state: done: as asked", "account-id cannot be changed",
			"Strangers see my posts.", "answered: justified", "< You are right.", "found-by-phone = true", "closed since", "erasure     payments",
		},
		"../README.zh-CN.md": {
			"查看您的信息", "接收端：[", "第 1.3 条", "退出码 3", "状态：已完成：已按要求办理", "政策声明此项不可更改或删除", "陌生人能看到我的内容。", "已答复：成立",
			"< 您说得对", "found-by-phone = true", "已注销，自", "删除",
		},
	} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		_, block, ok := strings.Cut(string(text), "\n```sh\n")
		block, _, closed := strings.Cut(block, "\n```\n")
		if !ok || !closed {
			t.Fatalf("%s has no session", file)
		}
		dir := t.TempDir()
		script := filepath.Join(dir, "walk.sh")
		if err := os.WriteFile(script, []byte(block), 0o600); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
		cmd := exec.CommandContext(ctx, bash, "-eu", script)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "PATH="+programs+string(os.PathListSeparator)+os.Getenv("PATH"), "TMPDIR="+dir)
		// What it starts in the background ends with it.
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
		out, err := cmd.CombinedOutput()
		if gone := syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL); err == nil && gone != nil && !errors.Is(gone, syscall.ESRCH) {
			t.Error(gone)
		}
		cancel()
		if err != nil {
			t.Fatalf("%s: %v\n%s", file, err, out)
		}
		for _, w := range want {
			if !strings.Contains(string(out), w) {
				t.Errorf("%s: the session does not show %q\n%s", file, w, out)
			}
		}
	}
}
