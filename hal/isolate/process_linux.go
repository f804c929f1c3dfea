package isolate

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/heddle-ml/heddle/hal/driver"
	"github.com/heddle-ml/heddle/hal/isolate/internal/self"
	"github.com/heddle-ml/heddle/hal/isolate/internal/wire"
)

// process is a child.
type process struct {
	cmd  *exec.Cmd
	name string // of the program
	said sayings
	pipe *os.File // its standard output and error
	read chan struct{}
}

// startProcess starts a host for a driver. How is the value of self.ChildEnv.
func startProcess(path, name, drv, how string, o *Options) (_ *process, _ *wire.Conn, err error) {
	ours, theirs, err := wire.Pair()
	if err != nil {
		return nil, nil, err
	}
	conn, err := wire.NewConn(ours)
	if err != nil {
		_ = unix.Close(ours)
		_ = unix.Close(theirs)
		return nil, nil, err
	}
	socket := os.NewFile(uintptr(theirs), "socket")
	defer socket.Close()
	defer func() {
		if err != nil {
			_ = conn.Close()
		}
	}()
	r, w, err := os.Pipe()
	if err != nil {
		return nil, nil, err
	}
	defer w.Close()
	p := &process{name: name, pipe: r, read: make(chan struct{}), cmd: &exec.Cmd{
		Path: path,
		// The names are for those who list processes.
		Args:        []string{hostName, drv},
		Env:         append(childEnv(o.Env), self.ChildEnv+"="+how),
		Stdout:      w,
		Stderr:      w,
		ExtraFiles:  []*os.File{socket},
		SysProcAttr: &syscall.SysProcAttr{Setpgid: true},
	}}
	if os.Getenv("GOTRACEBACK") == "" {
		p.cmd.Env = append(p.cmd.Env, "GOTRACEBACK=single")
	}
	if err := startOn(p.cmd, o.CPUs); err != nil {
		_ = r.Close()
		return nil, nil, fmt.Errorf("starting the host program %s: %w: %w", name, err, driver.ErrUnavailable)
	}
	go func() {
		defer close(p.read)
		p.said.copy(r)
	}()
	return p, conn, nil
}

// startOn starts a command on some of the processors. A child inherits the
// affinity of the thread that starts it.
func startOn(cmd *exec.Cmd, cpus int) error {
	if cpus == 0 {
		return cmd.Start()
	}
	runtime.LockOSThread()
	var all, some unix.CPUSet
	if err := unix.SchedGetaffinity(0, &all); err != nil {
		runtime.UnlockOSThread()
		return fmt.Errorf("option cpus: %w", err)
	}
	for i := len(all)*strconv.IntSize - 1; i >= 0 && some.Count() < cpus; i-- {
		if all.IsSet(i) {
			some.Set(i)
		}
	}
	err := unix.SchedSetaffinity(0, &some)
	if err == nil {
		err = cmd.Start()
	}
	if unix.SchedSetaffinity(0, &all) == nil {
		runtime.UnlockOSThread() // else the thread is not used again
	}
	return err
}

// endLimit is how long the kernel may take to end a killed process before
// others are told.
const endLimit = 2 * time.Second

// end waits for the process to end, kills it after grace, with all that it
// started, and says how it ended. It is called once.
func (p *process) end(grace time.Duration) string {
	pid := p.cmd.Process.Pid
	kill := func() {
		// Its number cannot be another's: nobody has waited for it yet.
		_ = unix.Kill(-pid, unix.SIGKILL)
		_ = unix.Kill(pid, unix.SIGKILL)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil) == unix.EINTR {
		}
	}()
	finish := func() {
		kill() // what it started may still be there
		_ = p.cmd.Wait()
		// A grandchild in another group may hold the pipe.
		_ = p.pipe.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
		<-p.read
		_ = p.pipe.Close()
	}
	if grace > 0 {
		select {
		case <-ended:
		case <-time.After(grace):
			kill()
		}
	} else {
		kill()
	}
	select {
	case <-ended:
	case <-time.After(endLimit):
		go func() {
			<-ended
			finish()
		}()
		return "cannot be ended by the kernel"
	}
	finish()
	text := "ended"
	if st, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus); ok {
		switch {
		case st.Signaled():
			text = fmt.Sprintf("was ended by %s (%s)", unix.SignalName(st.Signal()), st.Signal())
		case st.Exited():
			text = fmt.Sprintf("ended with status %d", st.ExitStatus())
		}
	}
	if said := p.said.last(); said != "" {
		text += ", saying: " + said
	}
	return text
}

// privateMemory returns the bytes of resident memory that are the process's
// own: no files, no shared tensors.
func (p *process) privateMemory() (int64, error) {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(p.cmd.Process.Pid) + "/status")
	if err != nil {
		return 0, err
	}
	_, rest, ok := bytes.Cut(b, []byte("RssAnon:"))
	fields := bytes.Fields(rest)
	if !ok || len(fields) == 0 {
		return 0, errors.ErrUnsupported
	}
	kb, err := strconv.ParseInt(string(fields[0]), 10, 64)
	return kb << 10, err
}

// sayings keeps the beginning and the end of what a process writes: Go says
// why it ends in the first line, C programs in the last.
type sayings struct {
	mu         sync.Mutex
	head, tail []byte
}

const sayingsSize = 2 << 10 // of each

func (s *sayings) copy(r *os.File) {
	buf := make([]byte, 4<<10)
	for {
		n, err := r.Read(buf)
		s.mu.Lock()
		b := buf[:n]
		if room := sayingsSize - len(s.head); room > 0 {
			k := min(room, len(b))
			s.head = append(s.head, b[:k]...)
			b = b[k:]
		}
		s.tail = append(s.tail, b...)
		if more := len(s.tail) - sayingsSize; more > 0 {
			s.tail = append(s.tail[:0], s.tail[more:]...)
		}
		s.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// reasons begin lines that say why a program ends.
var reasons = []string{"panic: ", "fatal error: ", "runtime: ", "SIG", "isolate: ", "==", "terminate called", "Assertion"}

// last returns the line that most likely says why the process ended.
func (s *sayings) last() string {
	s.mu.Lock()
	text := string(s.head) + string(s.tail)
	s.mu.Unlock()
	var last string
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(strings.ToValidUTF8(line, "?"))
		if line == "" {
			continue
		}
		for _, r := range reasons {
			if strings.HasPrefix(line, r) {
				return clip(line)
			}
		}
		last = line
	}
	return clip(last)
}

func clip(s string) string {
	const most = 400
	if len(s) > most {
		return strings.ToValidUTF8(s[:most], "") + "..."
	}
	return s
}
