package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/rollebro/rollebro/cmd/rollebro/config"
)

// healthTimeout is how long the service may take to say that it is well.
const healthTimeout = 4 * time.Second

func (p *program) healthcheckCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "healthcheck",
		Short: "Ask the service on this machine whether it is well, for a container's health check",
		Long: `Asks the service on this machine whether it is well: GET /healthz at the address of
rc.web.listen. It ends with 0 if the answer is 200, and with 1 otherwise.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := p.loadConfig()
			if err != nil {
				return err
			}
			return askHealth(cmd.Context(), c.Web, p.stdout)
		},
	}
}

func askHealth(ctx context.Context, web config.Web, out io.Writer) error {
	host, port, err := net.SplitHostPort(web.Listen)
	if err != nil {
		return fmt.Errorf("rc.web.listen: %w", err)
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "localhost"
	}
	scheme, transport := "http", &http.Transport{DisableKeepAlives: true}
	if web.TLSCertificate != "" {
		scheme = "https"
		if transport.TLSClientConfig, err = trustOwn(web.TLSCertificate); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, healthTimeout)
	defer cancel()
	url := scheme + "://" + net.JoinHostPort(host, port) + "/healthz"
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return fmt.Errorf("asking %s: %w", url, err)
	}
	client := &http.Client{Transport: transport}
	resp, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("the service does not answer: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, _ := io.ReadAll(io.LimitReader(resp.Body, 1000)) // what it says is for people only
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("the service is not well: %s %s", resp.Status, strings.TrimSpace(printable(string(body))))
	}
	fmt.Fprintln(out, "ok")
	return nil
}

// trustOwn verifies the server by its own certificate, which is at hand: neither need its issuer be known here nor its
// name be localhost.
func trustOwn(path string) (*tls.Config, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("rc.web.tlsCertificate: %w", err)
	}
	leaf, err := firstCertificate(data)
	if err != nil {
		return nil, fmt.Errorf("rc.web.tlsCertificate %s: %w", path, err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	name := leaf.Subject.CommonName
	if len(leaf.DNSNames) > 0 {
		name = strings.Replace(leaf.DNSNames[0], "*", "x", 1)
	} else if len(leaf.IPAddresses) > 0 {
		name = leaf.IPAddresses[0].String()
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: pool, ServerName: name}, nil
}

// firstCertificate finds the leaf in a PEM file.
func firstCertificate(data []byte) (*x509.Certificate, error) {
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		if block.Type == "CERTIFICATE" {
			return x509.ParseCertificate(block.Bytes)
		}
	}
	return nil, errors.New("there is no certificate in PEM form in the file")
}
