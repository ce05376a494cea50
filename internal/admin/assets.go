package admin

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io/fs"
	"net/http"
)

// The page's own script and style, and those of htmx and uPlot as they were released, with their licences.
//
//go:embed assets
var assetFiles embed.FS

// assetsVersion is part of the addresses under which browsers keep the files, so that they fetch others after an update.
var assetsVersion = func() string {
	sum := sha256.New()
	names, err := fs.Glob(assetFiles, "assets/*")
	if err != nil {
		panic(err) // the pattern is right
	}
	for _, name := range names {
		content, err := assetFiles.ReadFile(name)
		if err != nil {
			panic(err) // the file is in the binary
		}
		sum.Write(content)
	}
	return hex.EncodeToString(sum.Sum(nil)[:6])
}()

// assets answers the files of the page. They hold nothing but the program, so that browsers may keep them.
func assets() http.Handler {
	files := http.FileServerFS(assetFiles)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.URL.Path = "/assets/" + r.PathValue("file") // the version is there for the browser alone
		w.Header().Set("Cache-Control", "private, max-age=31536000, immutable")
		files.ServeHTTP(w, r)
	})
}
