package main

import (
	"bytes"
	"encoding/csv"
	"math"
	"slices"
	"strconv"
)

// magnitudes reads the times in seconds and magnitudes in m/s2 of a recording, in order of time. A watch's raw counts
// are brought to m/s2 by their median.
func magnitudes(b []byte) (t, m []float64, err error) {
	in := csv.NewReader(bytes.NewReader(b))
	in.FieldsPerRecord, in.ReuseRecord, in.TrimLeadingSpace = -1, true, true
	rows, err := in.ReadAll()
	if err != nil {
		return nil, nil, err
	}
	type point struct{ t, m float64 }
	var points []point
	watch := false
	for _, row := range rows {
		v := make([]float64, 0, 5)
		for _, field := range row[:min(len(row), 5)] {
			f, err := strconv.ParseFloat(field, 64)
			if err != nil {
				break
			}
			v = append(v, f)
		}
		switch len(v) {
		case 5:
			points = append(points, point{v[0] / 1e9, math.Sqrt(v[2]*v[2] + v[3]*v[3] + v[4]*v[4])})
		case 2, 3:
			watch = true
			points = append(points, point{v[0], v[1]})
		}
	}
	slices.SortStableFunc(points, func(a, b point) int {
		switch {
		case a.t < b.t:
			return -1
		case a.t > b.t:
			return 1
		}
		return 0
	})
	scale := 1.0
	if watch {
		level := make([]float64, 0, len(points))
		for _, p := range points {
			level = append(level, p.m)
		}
		slices.Sort(level)
		scale = 9.80665 / level[len(level)/2]
	}
	for _, p := range points {
		t, m = append(t, p.t), append(m, p.m*scale)
	}
	return t, m, nil
}

// windowedPeaks is the usual pedometer: the magnitude at 25 Hz, smoothed over 0.31 s; a step is a sample that is the
// highest of 0.59 s around it where the standard deviation of the last 0.8 s is at least 0.6 m/s2.
func windowedPeaks(t, m []float64) int {
	const hz = 25
	var x []float64
	for j, k := 0, 0; ; k++ {
		now := t[0] + float64(k)/hz
		for j+1 < len(t) && t[j+1] < now {
			j++
		}
		if j+1 >= len(t) {
			break
		}
		share := 0.0
		if t[j+1] > t[j] {
			share = (now - t[j]) / (t[j+1] - t[j])
		}
		x = append(x, m[j]+share*(m[j+1]-m[j]))
	}
	mean := func(i, n int) (mean, deviation float64) {
		past := x[max(0, i-n+1) : i+1]
		for _, v := range past {
			mean += v
		}
		mean /= float64(len(past))
		for _, v := range past {
			deviation += (v - mean) * (v - mean)
		}
		return mean, math.Sqrt(deviation / float64(len(past)))
	}
	smooth := make([]float64, len(x))
	for i := range x {
		smooth[i], _ = mean(i, 8) // 0.31 s
	}
	const half = 7 // 0.295 s
	steps := 0
	for i := half; i+half < len(x); i++ {
		around := smooth[i-half : i+half+1]
		if smooth[i] < slices.Max(around) || slices.Index(around, smooth[i]) < half {
			continue
		}
		if _, deviation := mean(i, 20); deviation >= 0.6 {
			steps++
		}
	}
	return steps
}
