// Package nats delivers the change feed to a stream of NATS JetStream. Only who imports this package links NATS.
package nats

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"regexp"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/clerksync/clerksync/feed"
)

// Config configures a [Receiver]. URL is required.
type Config struct {
	// URL is nats://HOST:4222/STREAM, or tls:// in place of nats://, perhaps with USER:PASSWORD@ or TOKEN@ before the host. With nats://
	// the connection is encrypted only if the server asks for it.
	URL string

	// Logger is told when the connection is lost and when it is back. Nil means nobody.
	Logger *slog.Logger
}

// Receiver publishes each change to the subject clerk. and its type, such as clerk.user.updated, as a CloudEvent, and waits until the
// stream has stored it. The header Nats-Msg-Id is the message's id, so that the stream drops what comes twice within its duplicate
// window (two minutes unless it was made with another).
type Receiver struct {
	conn   *nats.Conn
	js     jetstream.JetStream
	stream string
}

var streamName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,100}$`)

// CheckURL tells whether a text is a URL as [Config] describes it. Its error ends a sentence that begins with what the URL is, and does
// not quote it.
func CheckURL(text string) error {
	_, _, err := parse(text)
	return err
}

// parse splits a URL into the server's and the name of the stream.
func parse(text string) (server, stream string, err error) {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Scheme != "nats" && u.Scheme != "tls" {
		return "", "", errors.New("must look like nats://HOST:4222/STREAM")
	}
	stream = strings.Trim(u.Path, "/")
	if !streamName.MatchString(stream) {
		return "", "", errors.New("must name the stream after the host: nats://HOST:4222/STREAM")
	}
	return (&url.URL{Scheme: u.Scheme, User: u.User, Host: u.Host}).String(), stream, nil
}

// Open returns a receiver. It does not wait for the server: one that cannot be reached now is tried again whenever something is sent.
// The caller closes the receiver.
func Open(cfg Config) (*Receiver, error) {
	server, stream, err := parse(cfg.URL)
	if err != nil {
		return nil, fmt.Errorf("opening a JetStream receiver: its URL %w", err)
	}
	log := cfg.Logger
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	conn, err := nats.Connect(server, nats.Name("clerksync"), nats.RetryOnFailedConnect(true), nats.MaxReconnects(-1),
		nats.IgnoreAuthErrorAbort(), // or a second refusal of the password would close the connection for good
		nats.ReconnectBufSize(-1),   // nothing is sent behind the relay's back, when it may have tried again already
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) { log.Debug("the connection to NATS is lost", "error", err) }),
		nats.ReconnectHandler(func(*nats.Conn) { log.Debug("the connection to NATS is back") }),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { log.Debug("NATS", "error", err) }))
	if err != nil {
		return nil, errors.New("opening a JetStream receiver: its URL is not understood") // the error can quote the password
	}
	js, err := jetstream.New(conn)
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("opening a JetStream receiver: %w", err)
	}
	return &Receiver{conn, js, stream}, nil
}

// Send implements feed.Receiver.
func (r *Receiver) Send(ctx context.Context, messages ...feed.Message) error {
	for _, m := range messages {
		if err := r.publish(ctx, m); err != nil {
			return err
		}
	}
	return nil
}

// Serial implements feed.Serial.
func (r *Receiver) Serial() {}

// wrongStream is the server's code for a message that another stream than the expected one would take.
const wrongStream = 10060

func (r *Receiver) publish(ctx context.Context, m feed.Message) error {
	msg := nats.NewMsg("clerk." + m.Type())
	msg.Header.Set("Content-Type", "application/cloudevents+json")
	msg.Data = m.Event
	_, err := r.js.PublishMsg(ctx, msg, jetstream.WithMsgID(m.ID), jetstream.WithExpectStream(r.stream))
	var refused *jetstream.APIError
	switch {
	case errors.Is(err, jetstream.ErrNoStreamResponse):
		return fmt.Errorf("no stream takes %s now: there is none, and `nats stream add %s --subjects 'clerk.>'` makes one, or it has no leader, or the server has no JetStream: %w", msg.Subject, r.stream, err)
	case errors.As(err, &refused) && refused.ErrorCode == wrongStream:
		return fmt.Errorf("another stream than %s takes %s: %w", r.stream, msg.Subject, err)
	case err != nil && !r.conn.IsConnected():
		if last := r.conn.LastError(); last != nil { // err tells only that there is no connection
			err = last
		}
		return fmt.Errorf("the NATS server cannot be reached: %w", err)
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("publishing: the stream does not answer in time: %w", r.reconnect(err))
	case err != nil:
		return fmt.Errorf("publishing: %w", err)
	}
	return nil
}

// reconnect begins another connection after a silence: this one may be dead without a word, as when a NAT forgot it, or the server may have
// refused the subscription to answers, which nobody asks for again once it is allowed. It returns why no answer came, if the server told.
func (r *Receiver) reconnect(err error) error {
	if last := r.conn.LastError(); errors.Is(last, nats.ErrPermissionViolation) {
		err = last
	}
	_ = r.conn.ForceReconnect() // fails where the connection is closed, and so is the receiver
	return err
}

// Close ends the connection.
func (r *Receiver) Close() error {
	r.conn.Close()
	return nil
}
