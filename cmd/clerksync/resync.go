package main

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/urfave/cli/v3"

	clerksync "github.com/clerksync/clerksync/sync"
)

const scopeRead = scopeLog | scopeDatabase | scopeMirror | scopeClerk

func resyncCommand() *cli.Command {
	return &cli.Command{
		Name:      "resync",
		Usage:     "read these objects from Clerk again and merge what it says",
		ArgsUsage: "ID…",
		Description: "Takes the ids of users (user_…), organizations (org_…), memberships (orgmem_…), invitations (orginv_…, inv_…),\n" +
			"domains (orgdmn_…), roles (role_…) and permissions (perm_…). Clerk's API does not have memberships, inv_… and domains by\n" +
			"their ids: where it does not show one, that is asked again after the read margin.\n\n" + secretsHelp(scopeRead),
		Flags:  append([]cli.Flag{linesFlag()}, settingFlags(scopeRead)...),
		Action: withSettings(scopeRead, runResync),
	}
}

// idPattern is stricter than a path needs, so that no id can reach another resource of Clerk's API.
var idPattern = regexp.MustCompile(`^[a-z]+_[A-Za-z0-9_-]{1,120}$`)

// resyncer reads objects one by one.
type resyncer struct {
	mirror *clerksync.Mirror
	reader *clerksync.Reader
}

// target is an object to read again.
type target struct {
	id   string
	kind clerksync.Kind
}

// findTarget tells an object's kind by its id.
func findTarget(id string) (target, error) {
	if kind, known := clerksync.KindOfID(id); known && kind.Askable() && idPattern.MatchString(id) {
		return target{id, kind}, nil
	}
	var prefixes []string
	for _, kind := range clerksync.Kinds() {
		if kind.Askable() {
			prefixes = append(prefixes, kind.Prefix()+"…")
		}
	}
	return target{}, mistake(fmt.Sprintf("%q is no id that Clerk can be asked for: those are %s", id, strings.Join(prefixes, ", ")))
}

func runResync(ctx context.Context, c *cli.Command, s settings) error {
	targets, err := parseTargets(c.Args().Slice())
	if err != nil {
		return err
	}
	if err := s.needKey(); err != nil {
		return err
	}
	mirror, closeMirror, err := s.openMirror(ctx, false)
	if err != nil {
		return err
	}
	defer closeMirror()
	r, err := s.openResyncer(mirror)
	if err != nil {
		return err
	}
	tell := printDid(c)
	var failures []error
	for _, t := range targets {
		done, err := r.resync(ctx, t)
		if err == nil {
			err = tell(done)
		}
		if err == nil && done.Outcome == string(clerksync.Quarantined) {
			err = errors.New("it could not be stored: clerksync events list --outcome quarantined tells why")
		}
		if err != nil {
			failures = append(failures, fmt.Errorf("resyncing %s: %w", t.id, err))
		}
		if ctx.Err() != nil {
			break
		}
	}
	return errors.Join(failures...)
}

func parseTargets(ids []string) (targets []target, err error) {
	if len(ids) == 0 {
		return nil, mistake("resync needs ids, as in clerksync resync user_2b6fcd92dvf96q05x8e4a8xvt6a")
	}
	var mistakes []error
	for _, id := range ids {
		t, err := findTarget(id)
		if err != nil {
			mistakes = append(mistakes, err)
		}
		targets = append(targets, t)
	}
	return targets, errors.Join(mistakes...)
}

func (s *settings) openResyncer(mirror *clerksync.Mirror) (*resyncer, error) {
	api, err := s.openAPI(nil)
	if err != nil {
		return nil, err
	}
	return &resyncer{mirror, clerksync.NewReader(mirror, api, clerksync.Resync)}, nil
}

// resync reads one object, merges the answer and tells what became of it. That Clerk does not know an object which the mirror does
// not know either is kept nowhere: it may be a slip of the keyboard.
func (r *resyncer) resync(ctx context.Context, t target) (did, error) {
	if !r.mirror.Mirrors(t.kind) {
		return did{}, mistake("CLERKSYNC_RESOURCES leaves " + spaced(t.kind) + " out")
	}
	known, _, err := r.mirror.Find(ctx, t.kind, t.id)
	if err != nil {
		return did{}, err
	}
	read, err := r.reader.Get(ctx, t.kind, t.id)
	if err != nil {
		return did{}, err
	}
	if read.Object == nil && !known {
		return did{}, fmt.Errorf("neither Clerk nor the mirror knows this %s", spaced(t.kind.Singular()))
	}
	results, err := r.mirror.Apply(ctx, read)
	if err != nil {
		return did{}, err
	}
	done := did{t.id, string(results[0].Outcome), results[0].Reason}
	_, visible, err := r.mirror.Find(ctx, t.kind, t.id)
	if err != nil {
		return did{}, err
	}
	if read.Object == nil && visible {
		const recent = "Clerk does not have it now, but had it moments ago; try again in some minutes"
		done.Note = strings.TrimPrefix(done.Note+": "+recent, ": ")
	}
	return done, nil
}
