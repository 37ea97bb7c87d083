package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/scruple-agent/scruple/agent/control"
	"go.uber.org/zap"
)

// Server serves one Backend on one socket.
type Server struct {
	backend Backend
	owner   Owner
	log     *zap.Logger
	asked   askedTuples
	http    *http.Server
	// peerOf asks the kernel who is at the other end; a test puts other callers here.
	peerOf func(net.Conn) (Peer, error)
}

// Owner is the account whose data the daemon keeps.
type Owner struct {
	UID int // on platforms that have them; Peer.Self decides elsewhere
}

// Peer is the other end of a connection, as the kernel says.
type Peer struct {
	UID int // -1 where the platform names its users otherwise
	PID int // 0 where it does not tell
	// Self is true when the peer runs under the very account of this process.
	Self bool
	// Exe is the path of the program it runs, "" where the system does not tell.
	Exe string
}

// New returns a server for backend whose owner is that account. log gets one line for each refusal, with
// route, kind and uid.
func New(backend Backend, o Owner, log *zap.Logger) *Server {
	s := &Server{backend: backend, owner: o, log: log, peerOf: peerOf}
	s.http = &http.Server{
		Handler:           s,
		ConnContext:       s.connContext,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       15 * time.Second,
		WriteTimeout:      atReceive + shortly,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          zap.NewStdLog(zap.NewNop()), // its lines can hold what a peer sent
	}
	return s
}

// Serve answers on l until Shutdown; it then returns nil.
func (s *Server) Serve(l net.Listener) error {
	if err := s.http.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("control socket: %w", err)
	}
	return nil
}

// Shutdown stops accepting, removes the socket, and waits for the requests under way until ctx ends.
func (s *Server) Shutdown(ctx context.Context) error {
	if err := s.http.Shutdown(ctx); err != nil {
		s.http.Close()
		return fmt.Errorf("close control socket: %w", err)
	}
	return nil
}

type peerKey struct{}

type peerResult struct {
	peer Peer
	err  error
}

func (s *Server) connContext(ctx context.Context, c net.Conn) context.Context {
	p, err := s.peerOf(c)
	return context.WithValue(ctx, peerKey{}, peerResult{p, err})
}

// ServeHTTP is the way of every request: guard, caller, table, handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	answer, err := s.serve(w, r)
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	if answer == nil {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	body, err := json.Marshal(answer)
	if err != nil {
		s.refuse(w, r, errors.New("encode the answer"))
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Write(append(body, '\n'))
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) (any, error) {
	body, err := guard(w, r)
	if err != nil {
		return nil, err
	}
	caller, actor, err := s.caller(r)
	if err != nil {
		return nil, err
	}
	found, params, otherMethod := match(r.Method, r.URL.EscapedPath())
	switch {
	case found == nil && otherMethod:
		return nil, control.NewProblem(control.KindBadRequest, "", "this route has another method")
	case found == nil:
		return nil, control.NewProblem(control.KindNotFound, "", "no such route; does the daemon have the version of the client?")
	case caller < found.access && caller == owner:
		return nil, control.NewProblem(control.KindNotPerson, "", "the request names no channel of the person")
	case caller < found.access:
		return nil, control.NewProblem(control.KindNotAllowed, "", "the route is the owner's")
	}
	req := &request{actor: actor, access: caller, id: params["id"], body: body, query: r.URL.Query()}
	if _, ok := params["category"]; ok {
		if req.tuple, err = s.tuple(params["category"], params["purpose"]); err != nil {
			return nil, err
		}
	}
	ctx, cancel := context.WithTimeout(r.Context(), found.deadline)
	defer cancel()
	return found.do(s, ctx, req)
}

// caller says what the other end is. An application that names itself is held to that, whoever runs it, and has that name
// only where it is the program that the person registered under it; one that is known by its program needs no name. A
// caller that is neither the person's nor registered is "app:unnamed", for which the backend has nothing.
func (s *Server) caller(r *http.Request) (access, Actor, error) {
	result, ok := r.Context().Value(peerKey{}).(peerResult)
	if !ok || result.err != nil {
		return 0, Actor{}, control.NewProblem(control.KindNotAllowed, "", "the system does not tell who is calling")
	}
	p := result.peer
	actor := Actor{UID: p.UID, PID: p.PID, Channel: channelUnnamed}
	if name := r.Header.Get(control.HeaderApplication); name != "" {
		if !applicationName(name) {
			return 0, Actor{}, control.NewProblem(control.KindBadRequest, "",
				"header "+control.HeaderApplication+": 1 to 64 of a-z, 0-9, dot and hyphen")
		}
		if name, ok := s.backend.Identify(name, p); ok {
			actor.Channel = "app:" + name
		}
		return application, actor, nil
	}
	if r.Header.Get(control.HeaderChannel) == "" || !p.Self && p.UID != s.owner.UID {
		if name, ok := s.backend.Identify("", p); ok {
			actor.Channel = "app:" + name
			return application, actor, nil
		}
	}
	if p.UID == -1 && !p.Self || p.UID != -1 && p.UID != s.owner.UID && p.UID != 0 {
		return application, actor, nil
	}
	switch channel := r.Header.Get(control.HeaderChannel); channel {
	case "":
		return owner, actor, nil
	case control.ChannelCLI, control.ChannelPage:
		actor.Channel, actor.Person = channel, true
		return person, actor, nil
	default:
		return 0, Actor{}, control.NewProblem(control.KindBadRequest, "", "header "+control.HeaderChannel+": cli or page")
	}
}

// channelUnnamed is the channel of a client that did not say what it is.
const channelUnnamed = "app:unnamed"

func applicationName(name string) bool {
	return len(name) <= 64 && strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789.-") == ""
}

func (s *Server) refuse(w http.ResponseWriter, r *http.Request, err error) {
	peer, _ := r.Context().Value(peerKey{}).(peerResult)
	route, tuple := "none", ""
	if found, params, _ := match(r.Method, r.URL.EscapedPath()); found != nil {
		route = found.method + " " + found.path
		if t, err := s.tuple(params["category"], params["purpose"]); err == nil {
			tuple = t.String()
		}
	}
	p := problem(err, tuple)
	s.log.Info("request refused", zap.String("route", route), zap.String("kind", string(p.Kind())), zap.Int("uid", peer.peer.UID))
	body, _ := json.Marshal(p)
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(p.Status)
	w.Write(append(body, '\n'))
}

// askedTuples remembers which application asked for which tuple since the start.
type askedTuples struct {
	mu   sync.Mutex
	seen map[askedKey]bool
}

type askedKey struct {
	uid            int
	channel, tuple string
}

// maxAsked bounds what applications can make the daemon remember.
const maxAsked = 4096

func (a *askedTuples) add(actor Actor, tuple string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.seen == nil {
		a.seen = map[askedKey]bool{}
	}
	if len(a.seen) < maxAsked {
		a.seen[askedKey{actor.UID, actor.Channel, tuple}] = true
	}
}

func (a *askedTuples) has(actor Actor, tuple string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.seen[askedKey{actor.UID, actor.Channel, tuple}]
}
