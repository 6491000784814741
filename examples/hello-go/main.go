package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/dustin/go-humanize"
)

const greeting = "Hello from Tarmac"

func main() {
	started := time.Now()
	port := cmp.Or(os.Getenv("PORT"), "8080")
	http.HandleFunc("/", func(page http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(page, "%s\nstarted %s\n", greeting, humanize.Time(started))
	})
	server := &http.Server{Addr: ":" + port} // every address, 0.0.0.0 too

	// Finishes what it is answering, then ends. Fly sends SIGINT unless fly.toml names another kill_signal.
	stop, _ := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	ended := make(chan error)
	go func() {
		<-stop.Done()
		ended <- server.Shutdown(context.Background())
	}()

	log.Println("listening on port", port)
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		log.Fatal(err)
	}
	if err := <-ended; err != nil {
		log.Fatal(err)
	}
}
