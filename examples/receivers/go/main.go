// Takes events that beckn-receiver forwards:
//
//	go mod init events && go get github.com/standard-webhooks/standard-webhooks/libraries/go
//	WEBHOOK_SECRET=whsec_… PORT=8000 go run main.go
//
// Written from the library's published source; CI runs the Python and the Node receiver, not this.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"sync"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

func main() {
	webhook, err := standardwebhooks.NewWebhook(os.Getenv("WEBHOOK_SECRET"))
	if err != nil {
		log.Fatal(err)
	}
	var mutex sync.Mutex
	seen := map[string]bool{} // of yours: a unique column, in the transaction that does the work

	http.HandleFunc("POST /", func(w http.ResponseWriter, r *http.Request) {
		// The signature is over the bytes as they came: verify before anything parses them.
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 4<<20))
		if err != nil || webhook.Verify(body, r.Header) != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		var event struct {
			Action  string `json:"action"`
			OrderID string `json:"order_id"`
		}
		if json.Unmarshal(body, &event) != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		mutex.Lock()
		defer mutex.Unlock()
		if delivery := r.Header.Get("webhook-id"); !seen[delivery] {
			// The same event comes again until it was answered 2xx.
			fmt.Println(delivery, event.Action, event.OrderID)
			seen[delivery] = true
		}
	})
	log.Fatal(http.ListenAndServe("127.0.0.1:"+os.Getenv("PORT"), nil))
}
