package e2e

import (
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// ErrMissing says that the machine lacks what a rig needs; the text says what.
var ErrMissing = errors.New("missing")

// Kernel is an unpacked Debian kernel.
type Kernel struct {
	Image   string            // the file that QEMU boots
	modules map[string]string // files by name, with "_" for "-"
}

// FetchKernel returns Debian's kernel for a machine. It is downloaded with a private package index, so that the system's own is
// neither needed nor changed, and kept in the cache folder. ErrMissing where that cannot be done.
func FetchKernel(a Arch) (*Kernel, error) {
	cache, err := CacheDir()
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(cache, a.Name)
	if k, err := openKernel(dir); err == nil {
		return k, nil
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return nil, err
	}
	work, err := os.MkdirTemp(cache, ".fetch-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(work)
	unpacked := filepath.Join(work, "kernel")
	if err := download(a, work, unpacked); err != nil {
		return nil, fmt.Errorf("%w: a kernel for %s: %w", ErrMissing, a.Name, err)
	}
	if err := os.RemoveAll(dir); err != nil {
		return nil, err
	}
	if err := os.Rename(unpacked, dir); err != nil {
		return nil, err
	}
	return openKernel(dir)
}

// download fetches the package with the machine's own mirror and unpacks what is needed of it.
func download(a Arch, work, to string) error {
	mirror, suite, err := debianMirror()
	if err != nil {
		return err
	}
	for _, d := range []string{"lists/partial", "cache/archives/partial"} {
		if err := os.MkdirAll(filepath.Join(work, d), 0o755); err != nil {
			return err
		}
	}
	config := fmt.Sprintf(`Dir::State "%[1]s"; Dir::State::lists "%[1]s/lists"; Dir::State::status "%[1]s/status"; Dir::Cache "%[1]s/cache";
Dir::Etc::sourcelist "%[1]s/sources.list"; Dir::Etc::sourceparts "/dev/null"; Dir::Etc::preferencesparts "/dev/null";
APT::Architecture "%[2]s"; APT::Architectures {"%[2]s";}; APT::Sandbox::User "root"; Acquire::Languages "none";
`, work, a.Debian)
	source := fmt.Sprintf("deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] %s %s main\n", mirror, suite)
	for name, text := range map[string]string{"apt.conf": config, "sources.list": source, "status": ""} {
		if err := os.WriteFile(filepath.Join(work, name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	apt := func(args ...string) (string, error) {
		cmd := exec.Command(args[0], args[1:]...)
		cmd.Dir = work
		cmd.Env = append(os.Environ(), "APT_CONFIG="+filepath.Join(work, "apt.conf"), "LC_ALL=C")
		var errs bytes.Buffer
		cmd.Stderr = &errs
		out, err := cmd.Output()
		if err != nil {
			return "", fmt.Errorf("%s: %w: %s", strings.Join(args, " "), err, bytes.TrimSpace(errs.Bytes()))
		}
		return string(out), nil
	}
	if _, err := apt("apt-get", "-q", "update"); err != nil {
		return err
	}
	depends, err := apt("apt-cache", "depends", a.Kernel)
	if err != nil {
		return err
	}
	var name string
	for line := range strings.Lines(depends) {
		if _, after, ok := strings.Cut(line, "Depends: "); ok {
			name = strings.TrimSpace(after)
			break
		}
	}
	if name == "" {
		return fmt.Errorf("%s depends on no kernel", a.Kernel)
	}
	if _, err := apt("apt-get", "-q", "download", name); err != nil {
		return err
	}
	debs, err := filepath.Glob(filepath.Join(work, "*.deb"))
	if err != nil || len(debs) != 1 {
		return fmt.Errorf("the package of %s did not arrive", name)
	}
	_, err = apt("dpkg-deb", "-x", debs[0], to)
	return err
}

// debianMirror returns where this machine gets its packages from, and its suite.
func debianMirror() (mirror, suite string, err error) {
	for _, file := range []string{"/etc/apt/sources.list.d/debian.sources", "/etc/apt/sources.list"} {
		b, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(b)) {
			f := strings.Fields(line)
			switch {
			case len(f) > 1 && f[0] == "URIs:" && mirror == "":
				mirror = f[1]
			case len(f) > 1 && f[0] == "Suites:" && suite == "":
				suite = f[1]
			case len(f) > 3 && f[0] == "deb" && !strings.HasPrefix(f[1], "[") && mirror == "":
				mirror, suite = f[1], f[2]
			}
		}
	}
	if mirror == "" || suite == "" {
		return "", "", errors.New("this is no Debian with a package source")
	}
	return mirror, suite, nil
}

func openKernel(dir string) (*Kernel, error) {
	images, err := filepath.Glob(filepath.Join(dir, "boot", "vmlinuz-*"))
	if err != nil || len(images) != 1 {
		return nil, fmt.Errorf("%s: no kernel", dir)
	}
	k := &Kernel{Image: images[0], modules: map[string]string{}}
	err = filepath.WalkDir(filepath.Join(dir, "lib", "modules"), func(file string, d fs.DirEntry, err error) error {
		if name, ok := strings.CutSuffix(d.Name(), ".ko"); err == nil && ok {
			k.modules[moduleName(name)] = file
		}
		return err
	})
	if err == nil && len(k.modules) == 0 {
		err = fmt.Errorf("%s: no modules", dir)
	}
	return k, err
}

func moduleName(s string) string { return strings.ReplaceAll(s, "-", "_") }

// Modules returns the files of the named modules and of all that they depend on, in the order in which they are
// loaded. What the kernel has built in is left out.
func (k *Kernel) Modules(names ...string) ([]string, error) {
	var (
		files []string
		done  = map[string]bool{}
		add   func(name string) error
	)
	add = func(name string) error {
		name = moduleName(name)
		file := k.modules[name]
		if done[name] || file == "" {
			return nil
		}
		done[name] = true
		depends, err := dependsOn(file)
		if err != nil {
			return err
		}
		for _, d := range depends {
			if err := add(d); err != nil {
				return err
			}
		}
		files = append(files, file)
		return nil
	}
	for _, n := range names {
		if err := add(n); err != nil {
			return nil, err
		}
	}
	return files, nil
}

// dependsOn reads the names of the modules that a module needs from its .modinfo section.
func dependsOn(file string) ([]string, error) {
	f, err := elf.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	section := f.Section(".modinfo")
	if section == nil {
		return nil, fmt.Errorf("%s: no .modinfo", file)
	}
	info, err := section.Data()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	for _, entry := range bytes.Split(info, []byte{0}) {
		if list, ok := bytes.CutPrefix(entry, []byte("depends=")); ok && len(list) > 0 {
			return strings.Split(string(list), ","), nil
		}
	}
	return nil, nil
}
