//go:build !unix

package memory

import "errors"

func memoryFile(int) (fd int, mapped []byte, done func() error, err error) {
	return 0, nil, nil, errors.ErrUnsupported
}
