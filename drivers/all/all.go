package all

import (
	_ "github.com/heddle-ml/heddle/drivers/null"
	_ "github.com/heddle-ml/heddle/drivers/plugin"
	_ "github.com/heddle-ml/heddle/drivers/static"
)
