package schemas

import (
	"embed"
	"io/fs"
)

//go:embed *.avsc
var files embed.FS

// Files holds the .avsc files, named after their records in snake case:
// evidence.avsc is the schema of Evidence.
func Files() fs.FS { return files }
