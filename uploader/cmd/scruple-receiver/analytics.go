package main

import (
	"errors"
	"fmt"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/scruple-agent/scruple/uploader/receiver"
)

func (a *app) analyticsCommand() *cobra.Command {
	var since string
	c := &cobra.Command{
		Use:   "analytics",
		Short: a.say("Estimate what the statistics say, with the standard error", "估计统计结果并给出标准误差"),
		Long: a.say(`Estimates from the randomised answers of the analytics lane what part of those who answered is truly in each range. The
estimates are unbiased, so they can lie outside 0 to 100 %. The standard error is right for answers of different devices: a
device gives the same answer to the same truth again, so over more than a week the answers are not independent. What is said
here is about all who answered together; of a single one nothing can be said. The question is recorded as an access.`,
			`根据统计通道的随机化答案，估计作答者中真正处于各区间的比例。估计是无偏的，因此可能超出 0 到 100 %。标准误差适用于不同
设备的答案：同一设备对同样的真实情况总是给出同样的答案，因此跨越一周以上的答案并不独立。结果只针对全体作答者，对任何
个人都不能得出结论。此次查询会记入访问记录。`),
		Example: `  scruple-receiver analytics --dir ./receiver
  scruple-receiver analytics --dir ./receiver --since 2026-03-02 --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var from time.Time
			if since != "" {
				var err error
				if from, err = time.Parse(time.DateOnly, since); err != nil {
					return usage(errors.New(a.say("--since is a day such as 2026-03-02", "--since 应为日期，如 2026-03-02")), "")
				}
			}
			return a.with(func(s *receiver.Store) error {
				list, err := s.Estimates(cmd.Context(), from, accessor("analytics"))
				if err != nil {
					return err
				}
				if a.json {
					return a.writeJSON(list)
				}
				return a.writeEstimates(list)
			})
		},
	}
	c.Flags().StringVar(&since, "since", "", a.say("only answers that arrived in the week of this `DAY` (UTC) or later", "只计 `DAY`（UTC）当周及以后到达的答案"))
	return c
}

func (a *app) writeEstimates(list []receiver.Estimate) error {
	if len(list) == 0 {
		fmt.Fprintln(a.out, a.say("No answers.", "没有答案。"))
		return nil
	}
	w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, a.say("PURPOSE\tFIELD\tRANGE\tTOLD\tESTIMATE\tSTANDARD ERROR\tANSWERS\tEPSILON\tDAYS", "用途\t项目\t区间\t答案数\t估计\t标准误差\t答案总数\tε\t日期"))
	for _, e := range list {
		for _, r := range e.Ranges {
			name := strconv.FormatInt(r.From, 10)
			switch {
			case r.To == nil:
				name += "+"
			case *r.To > r.From:
				name += "-" + strconv.FormatInt(*r.To, 10)
			}
			fmt.Fprintf(w, "%s/%s\t%s\t%s\t%d\t%.1f %%\t%.1f %%\t%d\t%s\t%s..%s\n", e.Category, e.Purpose, e.Field, name, r.Told,
				100*r.Share, 100*r.StandardError, e.Answers, e.Epsilon, e.From, e.To)
		}
	}
	return w.Flush()
}
