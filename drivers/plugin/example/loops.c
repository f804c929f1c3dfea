/* Walking through tensors of any rank. */
#include "example.h"

void dense_strides(const int64_t *dims, int rank, int64_t *stride)
{
    int64_t n = 1;
    for (int i = rank - 1; i >= 0; i--) {
        stride[i] = n;
        n *= dims[i] > 0 ? dims[i] : 1;
    }
}

void broadcast_strides(const int64_t *dims, int rank, int y_rank, int64_t *stride)
{
    int skip = y_rank - rank;
    memset(stride, 0, (size_t)y_rank * sizeof *stride);
    dense_strides(dims, rank, stride + skip);
    for (int i = 0; i < rank; i++)
        if (dims[i] == 1)
            stride[skip + i] = 0;
}

void loops_start(loops *l)
{
    int n = 0;
    for (int i = 0; i < l->rank; i++) {
        int merge = n > 0;
        if (l->dims[i] == 1)
            continue;
        for (int k = 0; k < 3; k++)
            merge = merge && l->stride[k][n - 1] == l->stride[k][i] * l->dims[i];
        if (merge)
            n--;
        l->dims[n] = merge ? l->dims[n] * l->dims[i] : l->dims[i];
        for (int k = 0; k < 3; k++)
            l->stride[k][n] = l->stride[k][i];
        n++;
    }
    if (n == 0) {
        l->dims[n++] = 1;
        l->stride[0][0] = l->stride[1][0] = l->stride[2][0] = 0;
    }
    l->rank = n;
    memset(l->index, 0, sizeof l->index);
    memset(l->at, 0, sizeof l->at);
}

int loops_next(loops *l)
{
    for (int i = l->rank - 2; i >= 0; i--) {
        for (int k = 0; k < 3; k++)
            l->at[k] += l->stride[k][i];
        if (++l->index[i] < l->dims[i])
            return 1;
        for (int k = 0; k < 3; k++)
            l->at[k] -= l->stride[k][i] * l->dims[i];
        l->index[i] = 0;
    }
    return 0;
}

void move_box(void *y, const int64_t *y_stride, const void *a, const int64_t *a_stride, const int64_t *dims, int rank, int64_t size)
{
    loops l;
    l.rank = rank;
    for (int i = 0; i < rank; i++) {
        if (dims[i] == 0)
            return;
        l.dims[i] = dims[i];
        l.stride[0][i] = y_stride[i];
        l.stride[1][i] = a_stride[i];
        l.stride[2][i] = 0;
    }
    loops_start(&l);
    int64_t n = l.dims[l.rank - 1], ys = l.stride[0][l.rank - 1] * size, as = l.stride[1][l.rank - 1] * size;
    do {
        char *to = (char *)y + l.at[0] * size;
        const char *from = (const char *)a + l.at[1] * size;
        if (n == 1 || (ys == size && as == size))
            memcpy(to, from, (size_t)(n * size));
        else if (size == 4) /* a constant size makes memcpy one instruction */
            for (int64_t i = 0; i < n; i++)
                memcpy(to + i * ys, from + i * as, 4);
        else
            for (int64_t i = 0; i < n; i++)
                memcpy(to + i * ys, from + i * as, (size_t)size);
    } while (loops_next(&l));
}
