#!/bin/sh
echo "working"
exec sleep 600
