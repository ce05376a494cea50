package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"sync/atomic"
)

// certificate is what the public listener shows, from the files of CLERKSYNC_TLS_CERT and CLERKSYNC_TLS_KEY.
type certificate struct {
	text  string // of both files, as read at the start
	shown atomic.Pointer[tls.Certificate]
}

// openTLS returns the configuration of the public listener's TLS, or nil where it speaks plain HTTP.
func (d *daemon) openTLS(ctx context.Context) (*tls.Config, error) {
	if d.tlsCert == "" {
		return nil, nil
	}
	text, err := d.readCertificate()
	if err == nil {
		err = d.useCertificate(ctx, text)
	}
	if err != nil {
		return nil, mistake("CLERKSYNC_TLS_CERT " + err.Error())
	}
	d.certificate.text = text
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			return d.certificate.shown.Load(), nil
		},
	}, nil
}

// readCertificate returns both files as one text, so that a change of either is a change.
func (d *daemon) readCertificate() (string, error) {
	cert, err := readBrief(d.tlsCert)
	if err != nil {
		return "", fmt.Errorf("cannot be read: %w", err)
	}
	key, err := readBrief(d.tlsKey)
	if err != nil {
		return "", fmt.Errorf("needs CLERKSYNC_TLS_KEY, which cannot be read: %w", err)
	}
	return cert + "\n" + key, nil
}

// useCertificate shows another certificate from now on. In a text with both, the certificates and the key find each other.
func (d *daemon) useCertificate(_ context.Context, text string) error {
	pair, err := tls.X509KeyPair([]byte(text), []byte(text))
	if err != nil {
		return errors.New("must be a PEM file with the certificate first, and CLERKSYNC_TLS_KEY the file with its key")
	}
	d.certificate.shown.Store(&pair)
	return nil
}
