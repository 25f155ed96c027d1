// Package kube asks a cluster's API server the few questions that decide
// whether the cluster is up. It knows client certificates, as kind's
// kubeconfig has them, and nothing else of authentication.
package kube

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"sigs.k8s.io/yaml"
)

// Client speaks to one API server. It is safe for concurrent use.
type Client struct {
	server string
	http   *http.Client
}

type kubeconfig struct {
	Clusters []struct {
		Cluster struct {
			Server string `json:"server"`
			CA     string `json:"certificate-authority-data"`
		} `json:"cluster"`
	} `json:"clusters"`
	Users []struct {
		User struct {
			Certificate string `json:"client-certificate-data"`
			Key         string `json:"client-key-data"`
		} `json:"user"`
	} `json:"users"`
}

// FromFile reads a kubeconfig with one cluster and one user.
func FromFile(path string) (*Client, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read kubeconfig: %w", err)
	}
	var config kubeconfig
	if err := yaml.Unmarshal(raw, &config); err != nil {
		return nil, fmt.Errorf("read kubeconfig %s: %w", path, err)
	}
	if len(config.Clusters) == 0 || len(config.Users) == 0 {
		return nil, fmt.Errorf("kubeconfig %s names no cluster or no user", path)
	}
	tlsConfig, err := config.tls()
	if err != nil {
		return nil, fmt.Errorf("read kubeconfig %s: %w", path, err)
	}
	transport := &http.Transport{TLSClientConfig: tlsConfig}
	return &Client{
		server: config.Clusters[0].Cluster.Server,
		http:   &http.Client{Transport: transport, Timeout: 10 * time.Second},
	}, nil
}

func (k kubeconfig) tls() (*tls.Config, error) {
	decode := base64.StdEncoding.DecodeString
	ca, errCA := decode(k.Clusters[0].Cluster.CA)
	cert, errCert := decode(k.Users[0].User.Certificate)
	key, errKey := decode(k.Users[0].User.Key)
	if err := errors.Join(errCA, errCert, errKey); err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca)
	return &tls.Config{RootCAs: pool, Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}, nil
}

// Ready returns nil when the API server is ready, every node is, cluster DNS
// answers and there is a default StorageClass; else an error that says what is
// missing.
func (c *Client) Ready(ctx context.Context) error {
	if _, err := c.get(ctx, "/readyz"); err != nil {
		return fmt.Errorf("ask the API server: %w", err)
	}
	for _, check := range []func(context.Context) error{c.nodesReady, c.dnsReady, c.storageReady, c.accountReady} {
		if err := check(ctx); err != nil {
			return err
		}
	}
	return nil
}

// AwaitReady asks until Ready returns nil, and returns its last error when the
// context ends first.
func (c *Client) AwaitReady(ctx context.Context) error {
	const interval = 250 * time.Millisecond
	for {
		err := c.Ready(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for the cluster: %w", err)
		case <-time.After(interval):
		}
	}
}

func (c *Client) nodesReady(ctx context.Context) error {
	var nodes struct {
		Items []struct {
			Metadata struct{ Name string }
			Status   struct {
				Conditions []struct{ Type, Status string }
			}
		}
	}
	if err := c.into(ctx, "/api/v1/nodes", &nodes); err != nil {
		return fmt.Errorf("list nodes: %w", err)
	}
	if len(nodes.Items) == 0 {
		return errors.New("the cluster has no node")
	}
	for _, node := range nodes.Items {
		ready := false
		for _, condition := range node.Status.Conditions {
			ready = ready || condition.Type == "Ready" && condition.Status == "True"
		}
		if !ready {
			return fmt.Errorf("node %s is not ready", node.Metadata.Name)
		}
	}
	return nil
}

func (c *Client) dnsReady(ctx context.Context) error {
	var deployment struct {
		Status struct{ AvailableReplicas int }
	}
	if err := c.into(ctx, "/apis/apps/v1/namespaces/kube-system/deployments/coredns", &deployment); err != nil {
		return fmt.Errorf("get CoreDNS: %w", err)
	}
	if deployment.Status.AvailableReplicas == 0 {
		return errors.New("CoreDNS has no available replica")
	}
	return nil
}

func (c *Client) storageReady(ctx context.Context) error {
	if _, err := c.get(ctx, "/apis/storage.k8s.io/v1/storageclasses/standard"); err != nil {
		return fmt.Errorf("get StorageClass standard: %w", err)
	}
	return nil
}

// accountReady waits for the account without which no pod is admitted.
func (c *Client) accountReady(ctx context.Context) error {
	if _, err := c.get(ctx, "/api/v1/namespaces/default/serviceaccounts/default"); err != nil {
		return fmt.Errorf("get the default service account: %w", err)
	}
	return nil
}

func (c *Client) into(ctx context.Context, path string, v any) error {
	body, err := c.get(ctx, path)
	if err != nil {
		return err
	}
	return json.Unmarshal(body, v)
}

func (c *Client) get(ctx context.Context, path string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.server+path, nil)
	if err != nil {
		return nil, err
	}
	response, err := c.http.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answered %s", path, response.Status)
	}
	return body, nil
}
