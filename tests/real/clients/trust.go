// trust CAFILE URL...: ask each, with the roots of the file; prints a JSON list of "ok" and errors.  With "-" for CAFILE
// Go decides, as it does in a program that says nothing.
package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
)

func attempt(client *http.Client, url string) string {
	answer, err := client.Get(url)
	if err != nil {
		return err.Error()
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil || string(text) != "hello" {
		return fmt.Sprintf("another answer: %s %v", text, err)
	}
	return "ok"
}

func main() {
	var roots *x509.CertPool
	if os.Args[1] != "-" {
		roots = x509.NewCertPool()
		pem, err := os.ReadFile(os.Args[1])
		if err != nil || !roots.AppendCertsFromPEM(pem) {
			panic("no roots")
		}
	}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}}
	said := []string{}
	for _, url := range os.Args[2:] {
		said = append(said, attempt(client, url))
	}
	json.NewEncoder(os.Stdout).Encode(said)
}
