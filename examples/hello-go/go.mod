module hello-go

go 1.25

require github.com/dustin/go-humanize v1.0.1
