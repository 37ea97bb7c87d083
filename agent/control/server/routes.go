package server

import (
	"context"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/scruple-agent/scruple/agent/control"
	"github.com/scruple-agent/scruple/agent/policy"
	"github.com/scruple-agent/scruple/uploader/wire"
)

// access says who may call a route. Every kind of caller may do what the ones before it may.
type access int

const (
	// application: any local process, for itself; the backend gives what it has to registered ones only.
	application access = iota
	// owner: the data subject's own account, and root.
	owner
	// person: the owner through the command line or the page, for an answer that only a person gives.
	person
)

// Deadlines of a request. Those that talk to a controller take longer.
const (
	shortly   = 30 * time.Second
	atReceive = 2 * time.Minute
)

type handler func(s *Server, ctx context.Context, r *request) (any, error)

type route struct {
	method, path string
	access       access
	deadline     time.Duration
	do           handler
}

// routes is the whole surface. {tuple} stands for two segments, category and purpose.
var routes = []route{
	{"GET", "/v1/application", application, shortly, getApplication},
	{"POST", "/v1/consents/{tuple}/request", application, shortly, postRequest},
	{"POST", "/v1/sessions/{tuple}", application, shortly, postSession},
	{"DELETE", "/v1/sessions/{tuple}", application, shortly, deleteSession},

	{"POST", "/v1/submissions/{tuple}", application, shortly, postSubmission},
	{"DELETE", "/v1/items/{tuple}/{id}", application, shortly, deleteItem},
	{"POST", "/v1/location", application, shortly, postLocation},

	{"GET", "/v1/status", owner, shortly, getStatus},
	{"GET", "/v1/policy", owner, shortly, getPolicy},
	// A policy says what may be asked and is believed for its signature, whoever brings it.
	{"POST", "/v1/policy", owner, shortly, postPolicy},
	{"GET", "/v1/policy/changes", owner, shortly, getPolicyChanges},
	{"GET", "/v1/consents", owner, shortly, getConsents},
	{"GET", "/v1/receipts", owner, shortly, getReceipts},
	{"GET", "/v1/receipts/consent/{tuple}", owner, shortly, getConsentReceipts},
	{"GET", "/v1/ledger", owner, shortly, getLedgers},
	{"POST", "/v1/ledger/proof", owner, shortly, postLedgerProof},
	{"POST", "/v1/ledger/growth", owner, shortly, postLedgerGrowth},
	{"POST", "/v1/ledger/compare", owner, shortly, postLedgerCompare},
	{"GET", "/v1/analytics", owner, shortly, getAnalytics},
	{"GET", "/v1/egress/entries", owner, shortly, getEntries},
	{"GET", "/v1/egress/entries/{id}", person, shortly, getEntry},
	{"GET", "/v1/egress/preview/{tuple}", person, shortly, getPreview},
	{"POST", "/v1/egress/send/{tuple}", owner, atReceive, postSend},
	// What is held about the person is told to the person alone, not to every program of their account.
	{"GET", "/v1/data", person, atReceive, getData},
	{"GET", "/v1/data/{tuple}", person, atReceive, getData},
	{"POST", "/v1/data/{tuple}/collect", owner, atReceive, postCollect},

	{"GET", "/v1/notices", owner, shortly, getAnnouncements},
	{"POST", "/v1/notices/show", owner, shortly, postAnnouncementShow},
	{"POST", "/v1/notices/pull", owner, atReceive, postAnnouncementsPull},
	{"POST", "/v1/notices/decide", person, shortly, postAnnouncementDecide},

	{"GET", "/v1/age", owner, shortly, getAge},
	{"POST", "/v1/age", person, shortly, postAge},
	{"POST", "/v1/guardian/enrol", person, shortly, postEnrol},
	{"POST", "/v1/guardian/request", person, shortly, postGuardianRequest},
	// Believed for the guardian's signature, whoever brings it.
	{"POST", "/v1/guardian/approve", owner, shortly, postGuardianApprove},
	{"GET", "/v1/guardian/report", owner, shortly, getGuardianReport},

	{"GET", "/v1/rights", owner, shortly, getRights},
	{"GET", "/v1/cases", person, shortly, getCases},
	{"GET", "/v1/cases/{id}", person, atReceive, getCase},
	{"POST", "/v1/complaints", person, atReceive, postComplaint},
	{"POST", "/v1/data/{tuple}/correct", person, atReceive, postCorrect},
	{"POST", "/v1/erasures", person, atReceive, postErasure},
	{"GET", "/v1/accounts", owner, shortly, getAccounts},
	{"POST", "/v1/accounts/close", person, atReceive, postAccountClose},
	{"POST", "/v1/accounts/reopen", person, shortly, postAccountReopen},
	{"GET", "/v1/explain/tuple/{tuple}", person, shortly, getExplainTuple},
	{"GET", "/v1/explain/batch/{id}", person, shortly, getExplainBatch},
	{"GET", "/v1/export", person, atReceive, getExport},
	{"GET", "/v1/export/{tuple}", person, atReceive, getExport},

	// Taking back needs no more than being the owner: it must never be hard.
	{"POST", "/v1/consents/{tuple}/withdraw", owner, shortly, postWithdraw},

	{"POST", "/v1/consents/{tuple}/show", person, shortly, postShow},
	{"POST", "/v1/consents/{tuple}/give", person, shortly, postGive},
	{"POST", "/v1/consents/{tuple}/refuse", person, shortly, postRefuse},
	{"POST", "/v1/consents/{tuple}/defer", person, shortly, postDefer},
	{"POST", "/v1/data/{tuple}/erase", person, shortly, postErase},

	{"GET", "/v1/settings", person, shortly, getSettings},
	{"POST", "/v1/settings", person, shortly, postSetting},
	{"GET", "/v1/clients", person, shortly, getClients},
	{"GET", "/v1/clients/uses", person, shortly, getClientUses},
	{"POST", "/v1/clients", person, shortly, postClient},
	{"DELETE", "/v1/clients/{id}", owner, shortly, deleteClient},
	{"POST", "/v1/clients/{id}/access", person, shortly, postClientAccess},
	{"DELETE", "/v1/clients/{id}/access/{tuple}", owner, shortly, deleteClientAccess},
}

// Surface returns every route as "METHOD /path", so that a test can go through all there are.
func Surface() []string {
	var all []string
	for _, r := range routes {
		all = append(all, r.method+" "+r.path)
	}
	return all
}

// request is what a handler gets: the guard and the table have done their part.
type request struct {
	actor  Actor
	access access // of the caller
	tuple  policy.Tuple
	id     string
	query  url.Values
	body   []byte // at most maxBody
}

// match returns the route for a path, its parameters, and whether another method would have fitted.
func match(method, escapedPath string) (found *route, params map[string]string, otherMethod bool) {
	segments := strings.Split(escapedPath, "/")
	for i := range routes {
		params, ok := matchPath(routes[i].path, segments)
		switch {
		case !ok:
		case routes[i].method == method:
			return &routes[i], params, false
		default:
			otherMethod = true
		}
	}
	return nil, nil, otherMethod
}

func matchPath(pattern string, segments []string) (map[string]string, bool) {
	want := strings.Split(strings.Replace(pattern, "{tuple}", "{category}/{purpose}", 1), "/")
	if len(want) != len(segments) {
		return nil, false
	}
	params := map[string]string{}
	for i, w := range want {
		got, err := url.PathUnescape(segments[i])
		switch {
		case err != nil:
			return nil, false
		case strings.HasPrefix(w, "{"):
			params[strings.Trim(w, "{}")] = got
		case w != got:
			return nil, false
		}
	}
	return params, true
}

// tuple finds the policy's tuple of that name, or answers with similar names.
func (s *Server) tuple(category, purpose string) (policy.Tuple, error) {
	name := category + "/" + purpose
	if purpose == "-" { // how Client sends a name without a slash
		name = category
	}
	var names []string
	for _, t := range s.backend.Tuples() {
		if t.String() == name {
			return t, nil
		}
		names = append(names, t.String())
	}
	p := control.NewProblem(control.KindUnknownTuple, policy.Shown(name), "the name is CATEGORY/PURPOSE, as in \"scruple consent list\"")
	p.Near = near(name, names)
	return policy.Tuple{}, p
}

func getStatus(s *Server, ctx context.Context, _ *request) (any, error) {
	status, err := s.backend.Status(ctx)
	if err != nil {
		return nil, err
	}
	status.FillFeatures()
	status.Tuples = notNil(status.Tuples)
	status.Lanes = notNil(status.Lanes)
	status.Unfinished = notNil(status.Unfinished)
	status.Age.Questions, status.Age.Approved = notNil(status.Age.Questions), notNil(status.Age.Approved)
	status.Notices.Unread, status.Notices.Stopped = notNil(status.Notices.Unread), notNil(status.Notices.Stopped)
	return status, nil
}

// getApplication tells an application about the tuples that it asked for itself, and nothing else.
func getApplication(s *Server, ctx context.Context, r *request) (any, error) {
	status, err := s.backend.Status(ctx)
	if err != nil {
		return nil, err
	}
	answer := control.Application{State: status.State, Version: status.Version, Tuples: []control.ApplicationTuple{}}
	asked := map[string]policy.Tuple{}
	for _, t := range s.backend.Tuples() {
		if s.asked.has(r.actor, t.String()) {
			asked[t.String()] = t
		}
	}
	for _, row := range status.Tuples {
		t, ok := asked[row.Tuple]
		switch {
		case !ok:
		case s.backend.MayUse(r.actor, t):
			answer.Tuples = append(answer.Tuples, control.ApplicationTuple{Tuple: row.Tuple, Status: row.Status, Session: row.Session})
		default: // that it asked is all that it learns
			answer.Tuples = append(answer.Tuples, control.ApplicationTuple{Tuple: row.Tuple, Status: control.StatusRequested})
		}
	}
	return answer, nil
}

func getPolicy(s *Server, ctx context.Context, _ *request) (any, error) { return s.backend.Policy(ctx) }

func postPolicy(s *Server, ctx context.Context, r *request) (any, error) {
	var body control.PolicyRequest
	if err := decode(r.body, &body); err != nil {
		return nil, err
	}
	return s.backend.UpdatePolicy(ctx, r.actor, body.Note)
}

func getPolicyChanges(s *Server, ctx context.Context, _ *request) (any, error) {
	return list(s.backend.PolicyChanges(ctx))
}

func getConsents(s *Server, ctx context.Context, _ *request) (any, error) {
	return list(s.backend.Consents(ctx))
}

func getReceipts(s *Server, ctx context.Context, _ *request) (any, error) {
	return list(s.backend.Receipts(ctx))
}

func getEntries(s *Server, ctx context.Context, _ *request) (any, error) {
	return list(s.backend.EgressList(ctx))
}

func getEntry(s *Server, ctx context.Context, r *request) (any, error) {
	return s.backend.EgressBody(ctx, r.id)
}

func getPreview(s *Server, ctx context.Context, r *request) (any, error) {
	return s.backend.EgressPreview(ctx, r.tuple)
}

func postSend(s *Server, ctx context.Context, r *request) (any, error) {
	return s.backend.Flush(ctx, r.tuple)
}

func getData(s *Server, ctx context.Context, r *request) (any, error) {
	tuples := s.backend.Tuples()
	if r.tuple != (policy.Tuple{}) {
		tuples = []policy.Tuple{r.tuple}
	}
	var remote bool
	for key, values := range r.query {
		if key != "remote" || !slices.Equal(values, []string{"true"}) {
			return nil, control.NewProblem(control.KindBadRequest, "", "the only query is remote=true")
		}
		remote = true
	}
	data, err := s.backend.Data(ctx, tuples, remote)
	if err != nil {
		return nil, err
	}
	data.Tuples = notNil(data.Tuples)
	for i := range data.Tuples {
		data.Tuples[i].Reports = notNil(data.Tuples[i].Reports)
		data.Tuples[i].Items = notNil(data.Tuples[i].Items)
	}
	return data, nil
}

func postCollect(s *Server, ctx context.Context, r *request) (any, error) {
	return s.backend.Collect(ctx, r.actor, r.tuple)
}

func postErase(s *Server, ctx context.Context, r *request) (any, error) {
	return s.backend.Erase(ctx, r.actor, r.tuple)
}

func postRequest(s *Server, ctx context.Context, r *request) (any, error) {
	state, err := s.backend.Request(ctx, r.actor, r.tuple)
	if err != nil {
		return nil, err
	}
	s.asked.add(r.actor, r.tuple.String())
	if r.access == application { // it learns the status and nothing about how it came to be
		return control.ConsentState{Tuple: state.Tuple, Status: state.Status}, nil
	}
	return state, nil
}

func postShow(s *Server, ctx context.Context, r *request) (any, error) {
	var body control.ShowRequest
	if err := decode(r.body, &body); err != nil {
		return nil, err
	}
	lang, err := language(body.Lang, true)
	if err != nil {
		return nil, err
	}
	return s.backend.Show(ctx, r.actor, r.tuple, lang)
}

func postGive(s *Server, ctx context.Context, r *request) (any, error) {
	var body control.GiveRequest
	if err := decode(r.body, &body); err != nil {
		return nil, err
	}
	lang, err := language(body.Lang, false)
	if err != nil {
		return nil, err
	}
	notice, err := wire.ParseHash(body.Notice)
	if err != nil {
		return nil, control.NewProblem(control.KindBadRequest, r.tuple.String(), "notice: "+err.Error())
	}
	return s.backend.Give(ctx, r.actor, r.tuple, lang, notice)
}

func postRefuse(s *Server, ctx context.Context, r *request) (any, error) {
	return s.backend.Refuse(ctx, r.actor, r.tuple)
}

func postDefer(s *Server, ctx context.Context, r *request) (any, error) {
	return s.backend.Defer(ctx, r.actor, r.tuple)
}

func postWithdraw(s *Server, ctx context.Context, r *request) (any, error) {
	var body control.WithdrawRequest
	if err := decode(r.body, &body); err != nil {
		return nil, err
	}
	w, err := s.backend.Withdraw(ctx, r.actor, r.tuple, body.Clear)
	if err != nil {
		return nil, err
	}
	w.Unfinished = notNil(w.Unfinished)
	return w, nil
}

func postSession(s *Server, ctx context.Context, r *request) (any, error) {
	var body control.SessionRequest
	if err := decode(r.body, &body); err != nil {
		return nil, err
	}
	if body.Seconds < 0 {
		return nil, control.NewProblem(control.KindBadRequest, r.tuple.String(), "seconds: below 0")
	}
	session, err := s.backend.OpenSession(ctx, r.actor, r.tuple, body.Seconds)
	if err != nil {
		return nil, err
	}
	s.asked.add(r.actor, r.tuple.String())
	return session, nil
}

func deleteSession(s *Server, ctx context.Context, r *request) (any, error) {
	if r.access == application && !s.asked.has(r.actor, r.tuple.String()) {
		return nil, control.NewProblem(control.KindNotAllowed, r.tuple.String(), "the session is not this application's")
	}
	return nil, s.backend.CloseSession(ctx, r.actor, r.tuple)
}

func language(name string, optional bool) (policy.Lang, error) {
	switch lang := policy.Lang(name); {
	case lang == policy.LangEN, lang == policy.LangZH, name == "" && optional:
		return lang, nil
	}
	return "", control.NewProblem(control.KindBadRequest, "", "lang: the languages are zh-CN and en")
}

// list makes an empty list of JSON of none.
func list[T any](v []T, err error) (any, error) { return notNil(v), err }

func notNil[T any](v []T) []T {
	if v == nil {
		return []T{}
	}
	return v
}
