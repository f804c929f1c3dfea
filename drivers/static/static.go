package static

import (
	_ "github.com/heddle-ml/heddle/drivers/cpu"
)
