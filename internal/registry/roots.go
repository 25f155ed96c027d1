package registry

import (
	"crypto/x509"
	"fmt"
	"os"
)

// Roots returns the certificate authorities that registries are trusted by:
// those of the system, and those in file, which holds certificates in PEM form.
// Without a file they are the system's alone. Errors name the file.
func Roots(file string) (*x509.CertPool, error) {
	pool, err := x509.SystemCertPool()
	if err != nil {
		return nil, fmt.Errorf("read the system's certificate authorities: %w", err)
	}
	if file == "" {
		return pool, nil
	}
	certificates, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read certificate authorities: %w", err)
	}
	if !pool.AppendCertsFromPEM(certificates) {
		return nil, fmt.Errorf("read certificate authorities: %s has no certificate in PEM form", file)
	}
	return pool, nil
}
