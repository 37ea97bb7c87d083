package cli

import (
	"fmt"
	"regexp"
	"testing"

	"github.com/scruple-agent/scruple/sensors"
	"github.com/scruple-agent/scruple/sensors/accel"
	"github.com/scruple-agent/scruple/sensors/contacts/carddav"
	"github.com/scruple-agent/scruple/sensors/contacts/evolution"
	"github.com/scruple-agent/scruple/sensors/location"
	"github.com/scruple-agent/scruple/sensors/steps"
)

// TestTroublesInChinese: what is wrong with a source leaves no English but names.
func TestTroublesInChinese(t *testing.T) {
	names := regexp.MustCompile(`GeoClue|gpsd|CardDAV|Evolution|IIO|https?|503`)
	english := regexp.MustCompile(`[A-Za-z]{2,}`)
	zh, en := &app{lang: "zh-CN"}, &app{lang: "en"}
	texts := []string{
		fmt.Errorf("gpsd: %w", sensors.Absent("the other end (it closed the connection)")).Error(),
		fmt.Errorf("GeoClue: %w", sensors.Absent("GeoClue (it went away)")).Error(),
		fmt.Errorf("GeoClue: %w", sensors.Absent("the system bus (it closed the connection)")).Error(),
		fmt.Errorf("open location: %w", sensors.Absent("a source of positions")).Error(),
		fmt.Errorf("open location: GeoClue: %w", sensors.Absent("an exact source in GeoClue")).Error(),
		fmt.Errorf("gpsd: %w: an endless line", location.ErrProtocol).Error(),
		fmt.Errorf("serial receiver: %w", location.ErrSilent).Error(),
		fmt.Errorf("serial receiver: %w", sensors.Absent("a serial receiver")).Error(),
		fmt.Errorf("open contacts: %w", sensors.Absent("the address book of Evolution")).Error(),
		fmt.Errorf("open contacts: %w", sensors.Absent("the address book")).Error(),
		fmt.Errorf("open step counter: %w", sensors.Absent("a step counter")).Error(),
		fmt.Errorf("count steps from the accelerometer: %w", sensors.Absent("an accelerometer")).Error(),
		fmt.Errorf("read accelerometer: %w", sensors.Absent("an IIO device")).Error(),
		"read contacts: " + carddav.ErrStatus.Error() + ": 503",
	}
	for _, err := range []error{
		sensors.ErrBusy, sensors.ErrDenied, sensors.ErrMute, accel.ErrImplausible, steps.ErrDisabled, location.ErrProtocol, location.ErrSilent,
		carddav.ErrPassword, carddav.ErrCA, carddav.ErrAddress, carddav.ErrCertificate, carddav.ErrRefused, carddav.ErrRedirect,
		carddav.ErrTimeout, carddav.ErrUnreachable, carddav.ErrStatus, carddav.ErrGarbage, carddav.ErrTooLarge, carddav.ErrNoBook,
		evolution.ErrWAL, evolution.ErrJournal, evolution.ErrBusy, evolution.ErrNoBook, evolution.ErrDamaged, evolution.ErrTooLarge,
	} {
		texts = append(texts, err.Error())
	}
	for _, text := range texts {
		got := zh.trouble(text)
		if left := english.FindString(names.ReplaceAllString(got, "")); left != "" || got == "" {
			t.Errorf("%q is told as %q", text, got)
		}
		if en.trouble(text) != text {
			t.Errorf("%q is changed in English", text)
		}
		t.Log(got)
	}
}
