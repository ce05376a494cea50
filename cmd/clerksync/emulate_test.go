package main_test

import (
	"encoding/json"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestEmulate(t *testing.T) {
	t.Parallel()
	p := start(t, nil, "emulate", "--listen", "127.0.0.1:0", "--users", "7", "--seed", "3", "--rate-limit", "5/10s")
	eventually(t, 10*time.Second, "the emulator is ready", func() bool { return strings.Contains(p.stdout.String(), "\n") })
	var ready struct {
		APIURL        string `json:"api_url"`
		SecretKey     string `json:"secret_key"`
		WebhookSecret string `json:"webhook_secret"`
		InstanceID    string `json:"instance_id"`
	}
	if err := json.Unmarshal([]byte(p.stdout.String()), &ready); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(ready.SecretKey, "sk_test_") || !strings.HasPrefix(ready.WebhookSecret, "whsec_") {
		t.Errorf("keys are not like Clerk's: %+v", ready)
	}
	code, body := get(t, ready.APIURL+"/v1/instance", "Authorization", "Bearer "+ready.SecretKey)
	if code != 200 || !strings.Contains(body, ready.InstanceID) {
		t.Errorf("GET /v1/instance: %d %s", code, body)
	}
	_, body = get(t, ready.APIURL+"/v1/users/count", "Authorization", "Bearer "+ready.SecretKey)
	if !strings.Contains(body, `"total_count":7`) {
		t.Errorf("GET /v1/users/count: %s", body)
	}
	for range 5 {
		code, _ = get(t, ready.APIURL+"/v1/instance", "Authorization", "Bearer "+ready.SecretKey)
	}
	if code != 429 {
		t.Errorf("the seventh request in 10 seconds was answered %d, want 429", code)
	}
	p.signal(syscall.SIGTERM)
	p.wantExit(0, 10*time.Second)
}
