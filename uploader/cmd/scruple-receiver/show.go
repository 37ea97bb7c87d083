package main

import (
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/scruple-agent/scruple/hasher"
	"github.com/scruple-agent/scruple/uploader/receiver"
)

// held is one line of show.
type held struct {
	receiver.Holding
	Stored  []receiver.BatchJSON `json:"stored,omitempty"`  // --open
	Digests []string             `json:"digests,omitempty"` // --open: of registered users
	Fields  map[string]int       `json:"fields,omitempty"`  // --fields: how many items have it
}

func (a *app) showCommand() *cobra.Command {
	var open, accesses, fields bool
	c := &cobra.Command{
		Use:   "show",
		Short: a.say("Show what the receiver holds", "查看接收端保存了什么"),
		Long: a.say(`Shows what the receiver holds, in counts per pseudonym and purpose; nothing is opened. With --open it opens everything, and
each opening goes into the record of accesses first. It may be used while the receiver serves.`,
			`按假名和用途显示接收端保存的数量；不打开任何内容。使用 --open 时会打开全部内容，每次打开都先记入访问记录。接收端运行时也可使用。`),
		Example: `  scruple-receiver show --dir ./receiver
  scruple-receiver show --dir ./receiver --json --open
  scruple-receiver show --dir ./receiver --fields
  scruple-receiver show --dir ./receiver --accesses`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if open && accesses {
				return usage(errors.New(a.say("--open and --accesses exclude each other", "--open 与 --accesses 不能同时使用")), "")
			}
			if fields && (open || accesses) {
				return usage(errors.New(a.say("--fields goes with neither --open nor --accesses", "--fields 不能与 --open 或 --accesses 同时使用")), "")
			}
			return a.with(func(s *receiver.Store) error {
				if accesses {
					return a.showAccesses(cmd, s)
				}
				return a.show(cmd, s, open, fields)
			})
		},
	}
	c.Flags().BoolVar(&open, "open", false, a.say("open what is stored; this is recorded", "打开所存内容；此操作会被记录"))
	c.Flags().BoolVar(&fields, "fields", false, a.say("count the items by declared field, and show no content; this is recorded", "按已声明的字段统计条目，不显示内容；此操作会被记录"))
	c.Flags().BoolVar(&accesses, "accesses", false, a.say("show the record of accesses instead", "改为显示访问记录"))
	return c
}

func (a *app) show(cmd *cobra.Command, s *receiver.Store, open, fields bool) error {
	list, err := s.Holdings(cmd.Context(), time.Now())
	if err != nil {
		return err
	}
	all := []held{}
	for _, h := range list {
		one := held{Holding: h}
		if open {
			if err := a.openHeld(cmd, s, &one); err != nil {
				return err
			}
		}
		if fields {
			if one.Fields, err = countFields(cmd, s, h); err != nil {
				return err
			}
		}
		all = append(all, one)
	}
	if a.json {
		return a.writeJSON(all)
	}
	w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, a.say("PSEUDONYM\tPURPOSE\tSTATUS\tSINCE\tBATCHES\tITEMS\tBYTES\tMATCHES", "假名\t用途\t状态\t自\t批次\t条目\t字节\t匹配"))
	for _, h := range all {
		purpose := string(h.Category) + "/" + string(h.Purpose)
		if h.Category == "" {
			purpose = a.say("(erased)", "（已删除）")
		}
		fmt.Fprintf(w, "%.16s\t%s\t%s\t%s\t%d\t%d\t%d\t%d\n", h.Pseudonym, purpose, a.status(h.Status), h.Since.Format(time.RFC3339),
			h.Batches, h.Items, h.Bytes, h.Matches)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, h := range all {
		for _, b := range h.Stored {
			if err := a.writeJSON(b); err != nil {
				return err
			}
		}
		for _, d := range h.Digests {
			fmt.Fprintln(a.out, d)
		}
		for _, name := range slices.Sorted(maps.Keys(h.Fields)) {
			fmt.Fprintf(a.out, "%.16s\t%s\t%d\n", h.Pseudonym, name, h.Fields[name])
		}
	}
	return nil
}

func (a *app) openHeld(cmd *cobra.Command, s *receiver.Store, h *held) error {
	who := accessor("show --open")
	batches, err := s.Batches(cmd.Context(), h.Consent, who)
	if err != nil {
		return err
	}
	for _, b := range batches {
		h.Stored = append(h.Stored, b.JSON())
	}
	digests, _, err := s.Matches(cmd.Context(), h.Consent, who)
	if err != nil {
		return err
	}
	for d := range slices.Chunk(digests, hasher.DigestSize) {
		h.Digests = append(h.Digests, base64.StdEncoding.EncodeToString(d))
	}
	return nil
}

// countFields says how many stored items of a holding have each field, by the fields' names alone.
func countFields(cmd *cobra.Command, s *receiver.Store, h receiver.Holding) (map[string]int, error) {
	if h.Batches == 0 {
		return nil, nil
	}
	batches, err := s.Batches(cmd.Context(), h.Consent, accessor("show --fields"))
	if err != nil {
		return nil, err
	}
	n := map[string]int{}
	for _, b := range batches {
		for _, item := range b.Batch.Items {
			for name := range item.Fields {
				n[name]++
			}
		}
	}
	return n, nil
}

func (a *app) status(s string) string {
	switch s {
	case receiver.StatusGiven:
		return a.say("given", "已同意")
	case receiver.StatusExpired:
		return a.say("expired", "已过期")
	case receiver.StatusWithdrawn:
		return a.say("withdrawn", "已撤回")
	}
	return s
}

func (a *app) showAccesses(cmd *cobra.Command, s *receiver.Store) error {
	list, err := s.Accesses(cmd.Context())
	if err != nil {
		return err
	}
	if a.json {
		if list == nil {
			list = []receiver.Access{}
		}
		return a.writeJSON(list)
	}
	w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, a.say("TIME\tWHO\tCOMMAND\tWHAT", "时间\t谁\t命令\t内容"))
	for _, x := range list {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", x.Time.Format(time.RFC3339), x.Who, x.Command, x.What)
	}
	return w.Flush()
}
