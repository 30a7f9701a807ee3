/* SPDX-License-Identifier: GPL-3.0-or-later */
/* connect server PORT          answer one byte to each connection, one after the other; SIGTERM: end when all who have
                                come by then are answered
   connect client HOST PORT N   N connections one after the other: connect, a byte there, a byte back, close;
                                prints "good p50 p99 seconds", the middle two in microseconds; fails if none was good */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static double now(void) {
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return at.tv_sec * 1e6 + at.tv_nsec / 1e3;
}

static int by_size(const void *one, const void *other) {
    double difference = *(const double *)one - *(const double *)other;
    return difference < 0 ? -1 : difference > 0;
}

static int listener;

static void end(int number) {
    (void)number;
    fcntl(listener, F_SETFL, O_NONBLOCK); /* accept gives up when nobody waits any more */
}

static int serve(struct sockaddr_in *where) {
    int on = 1;
    char byte;
    struct sigaction told = {.sa_handler = end};
    listener = socket(AF_INET, SOCK_STREAM, 0);
    sigaction(SIGTERM, &told, NULL);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(listener, (void *)where, sizeof *where) || listen(listener, 4096)) {
        perror("bind");
        return 1;
    }
    for (;;) {
        int peer = accept(listener, NULL, NULL), got;
        if (peer < 0 && errno == EAGAIN)
            return 0;
        if (peer < 0)
            continue;
        while ((got = read(peer, &byte, 1)) < 0 && errno == EINTR)
            ;
        if (got == 1 && write(peer, "y", 1) != 1)
            perror("write");
        close(peer);
    }
}

static int once(struct sockaddr_in *where) {
    int peer = socket(AF_INET, SOCK_STREAM, 0), good;
    struct timeval patience = {2, 0};
    struct linger at_once = {1, 0}; /* no TIME_WAIT: ports would run out */
    char byte;
    setsockopt(peer, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(peer, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    good = !connect(peer, (void *)where, sizeof *where) && write(peer, "x", 1) == 1 && read(peer, &byte, 1) == 1;
    setsockopt(peer, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    close(peer);
    return good;
}

int main(int count, char **words) {
    struct sockaddr_in where = {.sin_family = AF_INET};
    if (count == 3 && !strcmp(words[1], "server")) {
        where.sin_port = htons(atoi(words[2]));
        return serve(&where);
    }
    if (count != 5 || strcmp(words[1], "client") || inet_pton(AF_INET, words[2], &where.sin_addr) != 1)
        return 2;
    where.sin_port = htons(atoi(words[3]));
    int wanted = atoi(words[4]), good = 0;
    double *took = malloc(sizeof(double) * wanted), began = now();
    for (int number = 0; number < wanted; number++) {
        double before = now();
        if (once(&where))
            took[good++] = now() - before;
    }
    double seconds = (now() - began) / 1e6;
    qsort(took, good, sizeof(double), by_size);
    printf("%d %.1f %.1f %.3f\n", good, good ? took[good / 2] : 0, good ? took[good * 99 / 100] : 0, seconds);
    return !good;
}
