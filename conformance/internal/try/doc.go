package try
