//go:build e2e

package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/scruple-agent/scruple/agent/internal/e2e"
)

// TestIIO boots the machines one after the other: each check of the guest is a subtest.
func TestIIO(t *testing.T) {
	for _, rig := range []struct {
		scenario string
		arch     e2e.Arch
		modules  []string
	}{
		{"accel", e2e.ARM64, []string{"uhid", "hid-sensor-accel-3d"}},
		{"accel", e2e.ARMv7, []string{"uhid", "hid-sensor-accel-3d"}},
		{"steps", e2e.AMD64, []string{"i2c-dev", "i2c-stub", "bma400_i2c"}},
		{"suspend", e2e.AMD64, []string{"uhid", "hid-sensor-accel-3d"}},
	} {
		t.Run(rig.scenario+"_"+rig.arch.Name, func(t *testing.T) {
			kernel, err := e2e.FetchKernel(rig.arch)
			if errors.Is(err, e2e.ErrMissing) {
				t.Skipf("MISSING: %v", err)
			}
			must(t, err)
			modules, err := kernel.Modules(rig.modules...)
			must(t, err)
			dir := t.TempDir()
			files := map[string]string{"init": filepath.Join(dir, "init"), "bin/scruple": filepath.Join(dir, "scruple")}
			must(t, e2e.Build(rig.arch, "github.com/scruple-agent/scruple/agent/internal/e2e/guest", files["init"]))
			must(t, e2e.Build(rig.arch, "github.com/scruple-agent/scruple/agent/cmd/scruple", files["bin/scruple"]))
			for i, m := range modules {
				files[fmt.Sprintf("modules/%02d-%s", i, filepath.Base(m))] = m
			}
			image := filepath.Join(dir, "image.gz")
			must(t, e2e.Image(image, files))
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
			defer cancel()
			start := time.Now()
			checks, err := e2e.Boot(ctx, rig.arch, kernel, image, rig.scenario, func(line string) { t.Log(line) })
			if errors.Is(err, e2e.ErrMissing) {
				t.Skipf("MISSING: %v", err)
			}
			if err != nil {
				t.Error(err)
			}
			for _, c := range checks {
				t.Run(c.Name, func(t *testing.T) {
					t.Log(c.Detail)
					if c.Failed {
						t.Fail()
					}
				})
			}
			t.Logf("%d checks in %v", len(checks), time.Since(start).Round(100*time.Millisecond))
		})
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
