//go:build check

package main_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/fetch"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"

	"github.com/clerksync/clerksync/clerktest"
	"github.com/clerksync/clerksync/internal/pgtest"
)

// browser is a tab of a headless Chromium.
type browser struct {
	t   *testing.T
	ctx context.Context

	mu         sync.Mutex
	complaints []string // of the console: errors, warnings, exceptions and violations of the content security policy
}

func browse(t *testing.T) *browser {
	t.Helper()
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.NoSandbox, chromedp.UserDataDir(t.TempDir()), chromedp.Flag("lang", "en"))
	ctx, stop := context.WithTimeout(t.Context(), 3*time.Minute)
	t.Cleanup(stop)
	ctx, stop = chromedp.NewExecAllocator(ctx, options...)
	t.Cleanup(stop)
	return openTab(ctx, t)
}

// openTab opens a tab, agrees to every question and notes what the console says.
func openTab(ctx context.Context, t *testing.T) *browser {
	t.Helper()
	ctx, stop := chromedp.NewContext(ctx)
	t.Cleanup(stop)
	b := &browser{t: t, ctx: ctx}
	b.do(chromedp.EmulateViewport(1280, 900))
	console, dialogs := chromedp.Console(ctx), chromedp.Events(ctx, page.JavascriptDialogOpening)
	go func() {
		for m, err := range console {
			if err == nil && m.Type != chromedp.ConsoleLog && m.Type != chromedp.ConsoleDebug {
				b.mu.Lock()
				b.complaints = append(b.complaints, m.String())
				b.mu.Unlock()
			}
		}
	}()
	go func() {
		for _, err := range dialogs {
			if err == nil {
				_, _ = chromedp.Call(ctx, page.HandleJavaScriptDialog, page.HandleJavaScriptDialogParams{Accept: true}) // the test sees it
			}
		}
	}()
	return b
}

// wantQuiet fails the test if the console has said anything.
func (b *browser) wantQuiet() {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, text := range b.complaints {
		if strings.Contains(text, "409 (Conflict)") { // Chromium remarks on every refusal, such as that of a restore which comes too early
			continue
		}
		b.t.Error("the console says: ", text)
	}
}

// do does something in the tab.
func (b *browser) do(action chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	if err := chromedp.Do(b.ctx, action); err != nil {
		b.t.Fatal(err)
	}
}

// script runs a script in the tab.
func (b *browser) script(text string) { b.t.Helper(); b.do(chromedp.Evaluate[chromedp.Void](text)) }

// eval returns what an expression yields in the tab.
func eval[T any](b *browser, expression string) T {
	b.t.Helper()
	v, err := chromedp.Run(b.ctx, chromedp.Evaluate[T](expression))
	if err != nil {
		b.t.Fatal(expression, err)
	}
	return v
}

// shows waits until a part of the page has a text.
func (b *browser) shows(selector, text string) {
	b.t.Helper()
	eventually(b.t, 20*time.Second, selector+" shows "+text, func() bool {
		return strings.Contains(eval[string](b, fmt.Sprintf(`document.querySelector(%q)?.innerText ?? ''`, selector)), text)
	})
}

// prefer makes the browser one that prefers dark or light, on a screen of a width.
func (b *browser) prefer(scheme string, width int64) {
	b.t.Helper()
	b.do(chromedp.EmulateViewport(width, 900))
	_, err := chromedp.Call(b.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
	})
	if err != nil {
		b.t.Fatal(err)
	}
}

// unreadable lists the texts of the page whose contrast with what is behind them is less than 4.5, by the formula of WCAG 2.
const unreadable = `(() => {
  const parse = c => { const m = c.match(/[\d.]+/g).map(Number); return {r: m[0], g: m[1], b: m[2], a: m[3] ?? 1} };
  const over = (f, b) => ({r: f.r*f.a + b.r*(1-f.a), g: f.g*f.a + b.g*(1-f.a), b: f.b*f.a + b.b*(1-f.a), a: 1});
  const behind = e => {
    const layers = [];
    for (; e; e = e.parentElement) layers.push(parse(getComputedStyle(e).backgroundColor));
    return layers.reverse().reduce((under, layer) => over(layer, under), {r: 255, g: 255, b: 255, a: 1});
  };
  const channel = v => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
  const light = c => 0.2126*channel(c.r) + 0.7152*channel(c.g) + 0.0722*channel(c.b);
  const bad = [], seen = [];
  for (const e of document.querySelectorAll('body *')) {
    if (![...e.childNodes].some(n => n.nodeType === 3 && n.data.trim()) && e.tagName !== 'INPUT') continue;
    if (!e.checkVisibility() || e.closest('script, .skip, svg')) continue;
    seen.push(e);
    const style = getComputedStyle(e), ground = behind(e);
    const a = light(over(parse(style.color), ground)), b = light(ground);
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) bad.push(ratio.toFixed(2) + ' ' + e.tagName + '.' + e.className + ' ' + e.textContent.trim().slice(0, 30));
  }
  return seen.length < 30 ? ['looked at only ' + seen.length + ' texts'] : bad;
})()`

// unlabelled lists the controls, pictures and tables that a screen reader could not name.
const unlabelled = `[...document.querySelectorAll('button, input, a[href], progress, img, [role=img], section, main, html')].filter(e => {
  switch (e.tagName) {
  case 'BUTTON': case 'A': return !(e.getAttribute('aria-label') || e.textContent).trim();
  case 'INPUT': case 'PROGRESS': return !e.labels.length;
  case 'IMG': return e.getAttribute('alt') === null;
  case 'DIV': return !e.getAttribute('aria-label');
  case 'SECTION': return !e.querySelector('h1, h2, label');
  case 'HTML': return !e.lang || !document.title;
  }
}).map(e => e.outerHTML.slice(0, 120))`

// holes lists the grids of cards whose last card ends before the grid does.
const holes = `[...document.querySelectorAll('.checks, .kinds, .charts')].filter(e =>
  e.getBoundingClientRect().right - e.lastElementChild.getBoundingClientRect().right > 2
).map(e => e.className)`

// TestPage drives the status page of the real daemon in a real browser.
func TestPage(t *testing.T) {
	url := pgtest.Empty(t)
	clerk := emulate(t, clerktest.Config{Users: 240, Organizations: 12, Members: 6, Invitations: 5})
	d := serve(t, clerk, environment(clerk, url, "CLERKSYNC_POLL_INTERVAL=0", "CLERKSYNC_RECONCILE_SCHEDULE=off", "CLERKSYNC_HOLD_DELETES=on"))
	clerk.SetWebhookURL(d.webhook)
	db := connect(t, url)
	passes := func() int { t.Helper(); return count(t, db, `SELECT count(*) FROM clerk.passes WHERE complete`) }
	b := browse(t)
	b.do(chromedp.Navigate(d.admin + "/"))
	b.shows("#verdict", "Healthy")
	b.shows("#line", "live")
	b.script(`document.body.dataset.same = 'yes'`)

	// What happens from now on it must show without being loaded again.
	b.press("Run a full pass", "a full pass begins")
	b.shows("#passes", "complete")
	var ids []string
	for range 6 {
		for range 15 { // which may arrive in any order, and are fewer than a table has rows
			id, err := clerk.CreateUser(clerktest.Fields{"first_name": "Grace"})
			if err != nil {
				t.Fatal(err)
			}
			ids = append(ids, id)
		}
		b.shows("#board", ids[len(ids)-1])
	}
	clerk.SetWebhookURL("") // so that a pass has something to find
	for _, id := range ids[:7] {
		if err := clerk.UpdateUser(id, clerktest.Fields{"last_name": "Hopper"}); err != nil {
			t.Fatal(err)
		}
	}
	n := passes()
	b.press("Run a full pass", "a full pass begins")
	eventually(t, 20*time.Second, "the pass", func() bool { return passes() > n })
	b.shows("#glance", "7 differences")
	b.shows("#now-drift", "7")
	clerk.SetWebhookURL(d.webhook)
	b.script(`document.querySelector('#told').innerHTML = ''`)
	b.shoot(picture, 1240)

	b.restores(clerk, ids[0])
	b.retries(clerk, ids[10:])
	b.drops(clerk)
	b.lookAtAll(d.admin, ids[1])
	if got := eval[string](b, `document.body.dataset.same`); got != "yes" {
		t.Error("the page was loaded anew")
	}
	b.wantQuiet()

	d.signal(syscall.SIGTERM)
	b.shows("#line", "does not answer")
	d.wantExit(0, 25*time.Second)
}

// TestPageToken drives the page where a token is asked for, as somebody does who types it into the browser's own question.
func TestPageToken(t *testing.T) {
	clerk := emulate(t, clerktest.Config{Users: 5})
	const token = "correct horse battery staple"
	d := serve(t, clerk, environment(clerk, pgtest.Empty(t), "CLERKSYNC_ADMIN_TOKEN="+token, "CLERKSYNC_POLL_INTERVAL=0", "CLERKSYNC_RECONCILE_SCHEDULE=off"))
	clerk.SetWebhookURL(d.webhook)

	b := browse(t)
	asked := b.types("wrong")
	b.do(chromedp.Navigate(d.admin + "/"))
	b.shows("body", "CLERKSYNC_ADMIN_TOKEN is needed")
	if n := asked(); n < 2 {
		t.Errorf("after a wrong token the browser asks again: asked %d times", n)
	}

	b = browse(t)
	asked = b.types(token)
	b.do(chromedp.Navigate(d.admin + "/"))
	b.shows("#line", "live")
	b.shows("#verdict", "Healthy")
	b.press("Run a full pass", "a full pass begins")
	b.shows("#passes", "complete")
	id, err := clerk.CreateUser(clerktest.Fields{"first_name": "Ada"})
	if err != nil {
		t.Fatal(err)
	}
	b.shows("#board", id)
	b.script(fmt.Sprintf(`document.querySelector('a[href$=%q]').click()`, id))
	b.shows("pre", "Ada")
	if n := asked(); n != 1 {
		t.Errorf("the token had to be typed %d times", n)
	}
	if text := eval[string](b, `location.href + document.cookie + JSON.stringify({...localStorage, ...sessionStorage}) + document.documentElement.outerHTML`); strings.Contains(text, token) {
		t.Error("the page keeps the token")
	}
	b.wantQuiet()
}

// types answers the browser's question for a password, which it gives up after three tries. It returns how often it was asked.
func (b *browser) types(password string) (asked func() int) {
	b.t.Helper()
	requests, questions := chromedp.Events(b.ctx, fetch.RequestPaused), chromedp.Events(b.ctx, fetch.AuthRequired)
	handle := true
	if _, err := chromedp.Call(b.ctx, fetch.Enable, fetch.EnableParams{HandleAuthRequests: &handle}); err != nil {
		b.t.Fatal(err)
	}
	go func() {
		for e, err := range requests {
			if err == nil {
				_, _ = chromedp.Call(b.ctx, fetch.ContinueRequest, fetch.ContinueRequestParams{RequestID: e.RequestID}) // the test sees it
			}
		}
	}()
	var n atomic.Int32
	go func() {
		for e, err := range questions {
			if err != nil {
				continue
			}
			answer := &fetch.AuthChallengeResponse{Response: fetch.AuthChallengeResponseResponseProvideCredentials, Username: "admin", Password: password}
			if n.Add(1) > 3 {
				answer = &fetch.AuthChallengeResponse{Response: fetch.AuthChallengeResponseResponseCancelAuth}
			}
			_, _ = chromedp.Call(b.ctx, fetch.ContinueWithAuth, fetch.ContinueWithAuthParams{RequestID: e.RequestID, AuthChallengeResponse: answer})
		}
	}()
	return func() int { return int(n.Load()) }
}

// restores forges a deletion, and has the page undo it.
func (b *browser) restores(clerk *clerktest.Server, id string) {
	b.t.Helper()
	clerk.Send(clerktest.Event{Type: "user.deleted", Data: []byte(`{"id":"` + id + `","object":"user","deleted":true}`)})
	b.shows("#board", id)
	eventually(b.t, 20*time.Second, "the deletion lies in the past", func() bool { // what Clerk answers at once could be older
		b.click("Restore " + id) // perhaps once more before the answer to the one that did it is seen
		return strings.Contains(eval[string](b, `document.querySelector('#board').innerText`), "revived")
	})
}

// retries deletes more users than the guard allows, and has the page approve one of those that are held.
func (b *browser) retries(clerk *clerktest.Server, ids []string) {
	b.t.Helper()
	for _, id := range ids[:20] {
		if err := clerk.DeleteUser(id); err != nil {
			b.t.Fatal(err)
		}
	}
	b.shows("#verdict", "Needs attention")
	b.shows("#glance", "webhooks told of")
	b.shows("#board", "held for approval")
	approve := `document.querySelector('[aria-label^="Approve"]').getAttribute('aria-label')`
	button := eval[string](b, approve)
	b.press(button, strings.TrimPrefix(button, "Approve ")+" deleted")
	eventually(b.t, 20*time.Second, "it waits no longer", func() bool { return eval[string](b, approve) != button })
}

// drops sends an event that cannot be applied, and has the page give it up.
func (b *browser) drops(clerk *clerktest.Server) {
	b.t.Helper()
	clerk.Send(clerktest.Event{Type: "user.updated", Data: []byte(`{"object":"user"}`)})
	b.shows("#board", "data has no id")
	row := `[...document.querySelectorAll('tr')].find(r => r.innerText.includes('data has no id'))`
	button := eval[string](b, row+`.querySelector('button.plain').getAttribute('aria-label')`)
	b.press(button, strings.TrimPrefix(button, "Drop ")+" dropped")
	eventually(b.t, 20*time.Second, "it waits no longer", func() bool { return eval[bool](b, row+` === undefined`) })
}

// click clicks a button by its name.
func (b *browser) click(name string) {
	b.t.Helper()
	const find = `[...document.querySelectorAll('button')].find(e => (e.getAttribute('aria-label') ?? e.innerText) === %q)`
	b.script(fmt.Sprintf(find+`?.click()`, name))
}

// press clicks a button, and waits for what the page then tells.
func (b *browser) press(name, told string) {
	b.t.Helper()
	b.click(name)
	b.shows("#told", told)
}

// lookAtAll looks at the status page and at an object's, dark and light, on a screen and on a phone.
func (b *browser) lookAtAll(admin, id string) {
	b.t.Helper()
	other := openTab(b.ctx, b.t)
	for _, path := range []string{"/", "/objects/users/" + id} {
		other.do(chromedp.Navigate(admin + path))
		for _, scheme := range []string{"light", "dark"} {
			for name, width := range map[string]int64{"screen": 1280, "tablet": 800, "phone": 390} {
				other.prefer(scheme, width)
				other.lookAt(strings.Join([]string{map[bool]string{true: "status", false: "object"}[path == "/"], scheme, name}, "-"))
			}
		}
	}
	other.wantQuiet()
}

// lookAt checks what everybody needs of a page: contrast, names, a focus that can be seen and goes in the order of reading, and no
// scrolling sideways.
func (b *browser) lookAt(what string) {
	b.t.Helper()
	if dir := os.Getenv("PAGE_PICTURES"); dir != "" {
		b.shoot(filepath.Join(dir, what+".png"), 0)
	}
	for _, found := range eval[[]string](b, unreadable) {
		b.t.Errorf("%s: hard to read: %s", what, found)
	}
	for _, found := range eval[[]string](b, unlabelled) {
		b.t.Errorf("%s: without a name: %s", what, found)
	}
	if wide := eval[int](b, `document.documentElement.scrollWidth - innerWidth`); wide > 0 {
		b.t.Errorf("%s: it scrolls sideways by %d", what, wide)
	}
	for _, found := range eval[[]string](b, holes) {
		b.t.Errorf("%s: a row ends in a hole: %s", what, found)
	}
	if most, high := 8000, eval[int](b, `document.documentElement.scrollHeight`); high > most {
		b.t.Errorf("%s: it is %d pixels high: nobody scrolls past %d", what, high, most)
	}
	b.script(`document.querySelector('.skip').focus()`)
	const focused = `[...document.querySelectorAll('*')].indexOf(document.activeElement)`
	first, steps := eval[int](b, focused), 0
	for last := first; steps < 12; steps++ {
		b.do(chromedp.KeyEvent("\t"))
		at := eval[int](b, focused)
		if at == first || eval[bool](b, `document.activeElement === document.body`) {
			break // behind the last element
		}
		if at <= last {
			b.t.Errorf("%s: the focus goes from element %d to %d", what, last, at)
		}
		if last = at; !eval[bool](b, `getComputedStyle(document.activeElement).outlineStyle !== 'none'`) {
			b.t.Errorf("%s: the focus cannot be seen on %s", what, eval[string](b, `document.activeElement.outerHTML`))
		}
	}
	if steps < 3 {
		b.t.Errorf("%s: the keyboard reaches %d elements", what, steps)
	}
}

// picture is the screenshot in the documentation.
var picture = filepath.Join("..", "..", "docs", "status-page.png")

// shoot takes a picture of the page down to a height; 0 means all of it.
func (b *browser) shoot(path string, height int64) {
	b.t.Helper()
	clip := eval[[]float64](b, `[document.documentElement.clientWidth, document.documentElement.scrollHeight]`)
	if height > 0 {
		clip[1] = float64(height)
	}
	beyond := true
	shot, err := chromedp.Call(b.ctx, page.CaptureScreenshot, page.CaptureScreenshotParams{
		CaptureBeyondViewport: &beyond, Clip: &page.Viewport{Width: clip[0], Height: clip[1], Scale: 1},
	})
	if err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(path, shot.Data, 0o644); err != nil {
		b.t.Fatal(err)
	}
}
