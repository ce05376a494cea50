package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/clerksync/clerksync/internal/scan"
)

// walk is the order to read the list of users from one end to the other, and to do nothing with it.
type walk struct {
	URL, Key string
	Gzip     bool
	Scan     bool // find the users of each page, their ids and times
}

// done is what a role tells that worked through a list.
type done struct {
	Seconds float64
	Users   int64
	RSS     float64 // MiB, at most
	Beside  float64 // ms that passed without a request on its way
	Lists   int     // pages asked for
}

// listUsers is the role of the baselines of a pass.
func listUsers(ctx context.Context, in *json.Decoder, out *json.Encoder) error {
	var w walk
	if err := in.Decode(&w); err != nil {
		return err
	}
	client := &http.Client{Transport: &http.Transport{DisableCompression: !w.Gzip}}
	defer client.CloseIdleConnections()
	var d done
	var page bytes.Buffer
	begun := time.Now()
	for last := ""; ; {
		if err := w.download(ctx, client, last, &page); err != nil {
			return err
		}
		n, err := w.look(page.Bytes(), &last)
		if err != nil {
			return err
		}
		d.Users += int64(n)
		if n < fullPage {
			break
		}
	}
	d.Seconds = time.Since(begun).Seconds()
	return out.Encode(d)
}

// fullPage is Clerk's limit.
const fullPage = 500

func (w walk) download(ctx context.Context, client *http.Client, after string, into *bytes.Buffer) error {
	url := w.URL + fmt.Sprint("/v1/users?limit=", fullPage, "&order_by=%2Bcreated_at")
	if after != "" {
		url += "&starting_after=" + after
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	r.Header.Set("Authorization", "Bearer "+w.Key)
	answer, err := client.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("the emulator answered %s", answer.Status)
	}
	into.Reset()
	_, err = into.ReadFrom(answer.Body)
	return err
}

// ids returns the ids of the next page.
func (w walk) ids(ctx context.Context, client *http.Client, last *string) (ids []string, err error) {
	var page bytes.Buffer
	if err := w.download(ctx, client, *last, &page); err != nil {
		return nil, err
	}
	err = scan.Records(page.Bytes(), []string{"id"}, func(_ []byte, values [][]byte) error {
		*last, _ = scan.String(values[0])
		ids = append(ids, *last)
		return nil
	})
	return ids, err
}

// look counts the users of a page and finds the id of the last one: by a scan or, where nothing but the download is measured, by the
// shape that the emulator gives its pages.
func (w walk) look(page []byte, last *string) (n int, err error) {
	if !w.Scan {
		begin := []byte(`{"id":"user_`)
		if at := bytes.LastIndex(page, begin); at >= 0 {
			id, _, _ := bytes.Cut(page[at+len(`{"id":"`):], []byte(`"`))
			*last = string(id)
		}
		return bytes.Count(page, begin), nil
	}
	err = scan.Records(page, []string{"id", "created_at", "updated_at"}, func(user []byte, values [][]byte) error {
		n++
		if _, dated := scan.Int(values[1]); !dated {
			return fmt.Errorf("a user of %d bytes has no created_at", len(user))
		}
		if _, dated := scan.Int(values[2]); !dated {
			return fmt.Errorf("a user of %d bytes has no updated_at", len(user))
		}
		*last, _ = scan.String(values[0])
		return nil
	})
	return n, err
}
