module github.com/heddle-ml/heddle/tools/example-app

go 1.26.0

require github.com/heddle-ml/heddle v0.0.0

require (
	github.com/dlclark/regexp2 v1.12.0 // indirect
	golang.org/x/image v0.47.0 // indirect
	golang.org/x/sys v0.49.0 // indirect
	golang.org/x/text v0.43.0 // indirect
)

replace github.com/heddle-ml/heddle => ../..
