package gateway_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"adpulse/system/gateway"
)

func TestImpossibleConfigurationsAreNamed(t *testing.T) {
	t.Parallel()
	config := gateway.DefaultConfig()
	require.NoError(t, config.Validate())
	for field, change := range map[string]func(*gateway.Config){
		"BodyBytesMax":   func(c *gateway.Config) { c.BodyBytesMax = 1 },
		"HeaderBytesMax": func(c *gateway.Config) { c.HeaderBytesMax = 0 },
		"EventsMax":      func(c *gateway.Config) { c.EventsMax = 0 },
		"ConnectionsMax": func(c *gateway.Config) { c.ConnectionsMax = 0 },
		"RefusalDelay":   func(c *gateway.Config) { c.RefusalDelay = -1 },
		"StallTimeout":   func(c *gateway.Config) { c.StallTimeout = 0 },
		"RequestsMax":    func(c *gateway.Config) { c.RequestsMax = -1 },
		"HeldBytesMax":   func(c *gateway.Config) { c.HeldBytesMax = c.BodyBytesMax - 1 },
		"BatchEvents":    func(c *gateway.Config) { c.BatchEvents = 0 },
		"BatchesAtOnce":  func(c *gateway.Config) { c.BatchesAtOnce = 0 },
		"ClientRate":     func(c *gateway.Config) { c.ClientRate = math.NaN() },
		"ClientBurst":    func(c *gateway.Config) { c.ClientRate, c.ClientBurst = 1, 0 },
		"TLSKey":         func(c *gateway.Config) { c.TLSCert = "x" },
		"Now":            func(c *gateway.Config) { c.Now = nil },
		"SubmitTimeout":  func(c *gateway.Config) { c.SubmitTimeout = 0 },
		"IdleTimeout":    func(c *gateway.Config) { c.IdleTimeout = 2 * time.Hour },
		"WriteTimeout":   func(c *gateway.Config) { c.WriteTimeout = c.ReadTimeout },
	} {
		config := gateway.DefaultConfig()
		change(&config)
		require.ErrorContains(t, config.Validate(), field)
		_, err := gateway.New(config, gateway.Parts{Events: &journal{}, Log: zap.NewNop()})
		require.Error(t, err)
	}
	_, err := gateway.New(config, gateway.Parts{})
	require.Error(t, err)
	config.TLSCert, config.TLSKey = "nowhere.pem", "nowhere.pem"
	_, err = gateway.New(config, gateway.Parts{Events: &journal{}, Log: zap.NewNop()})
	require.ErrorContains(t, err, "nowhere.pem")
}

func TestACertificateMakesItSpeakTLS(t *testing.T) {
	t.Parallel()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	config, dir := gateway.DefaultConfig(), t.TempDir()
	config.TLSCert, config.TLSKey = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	require.NoError(t, os.WriteFile(config.TLSCert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate}), 0o600))
	require.NoError(t, os.WriteFile(config.TLSKey, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}), 0o600))
	server, err := gateway.New(config, gateway.Parts{Events: &journal{}, Log: zap.NewNop()})
	require.NoError(t, err)
	require.Nil(t, server.Addr())
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()

	roots := x509.NewCertPool()
	parsed, err := x509.ParseCertificate(certificate)
	require.NoError(t, err)
	roots.AddCert(parsed)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: true}
	client := &http.Client{Transport: transport}
	response, err := client.Post("https://"+listener.Addr().String()+"/event/click", jsonType, strings.NewReader(click))
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Equal(t, http.StatusAccepted, response.StatusCode)
	require.Equal(t, 2, response.ProtoMajor)
	transport.CloseIdleConnections()
	require.NoError(t, server.Shutdown(context.Background()))
	require.NoError(t, <-served)
}

func TestAServerThatCannotListenSaysWhere(t *testing.T) {
	t.Parallel()
	server, err := gateway.New(gateway.DefaultConfig(), gateway.Parts{Events: &journal{}, Log: zap.NewNop()})
	require.NoError(t, err)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, listener.Close())
	require.ErrorContains(t, server.Serve(listener), listener.Addr().String())
	require.Equal(t, listener.Addr(), server.Addr())
}
